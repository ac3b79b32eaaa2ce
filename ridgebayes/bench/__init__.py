"""What a fit costs: missions of growing size, each in processes of its own.

`cases` says what is measured; `gradient` and `ridgebayes.cli.measured` measure, in a process of their own;
`suite` starts them and keeps what they found; `report` makes the table and the figure.
"""
