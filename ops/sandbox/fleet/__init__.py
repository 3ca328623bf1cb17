"""A proving ground of real Debian hosts on one machine: systemd, sshd and Docker in a network of their own."""
