"""The questions. Every function here only reads; each answers one probe type of a checklist with a finding."""
