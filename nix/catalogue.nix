# placeholder
_: { }
