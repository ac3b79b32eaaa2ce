"""What a fit costs: missions of growing size, each in processes of its own.

`cases` says what is measured, `command` and `gradient` run in a process of their own and measure, `suite`
starts them and keeps what they found, `report` makes the table and the figure.
"""
