"""The door to the hosts: the only room that runs Ansible."""
