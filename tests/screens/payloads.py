"""Text that tries to get at the terminal or at the reader: in data, names, logs and messages."""

from __future__ import annotations

ESC, BEL, ST, CSI, OSC = "\x1b", "\x07", "\x1b\\", "\x1b[", "\x1b]"

PAYLOADS: tuple[str, ...] = (
    f"{OSC}52;c;cHduZWQ={BEL}",  # writes the clipboard
    f"{OSC}52;c;cHduZWQ={ST}",
    f"{OSC}0;title{BEL}",
    f"{OSC}2;title{ST}",
    f"{OSC}8;;https://evil.example{BEL}click{OSC}8;;{BEL}",  # a link that lies
    f"{OSC}1337;File=name=eA==:AAAA{BEL}",
    f"{OSC}777;notify;a;b{BEL}",
    f"{OSC}10;?{BEL}",  # asks the terminal, whose answer would be typed in
    f"{OSC}4;1;?{ST}",
    f"{CSI}2J{CSI}H",
    f"{CSI}3J",
    f"{CSI}?1049l",
    f"{CSI}?1003h",
    f"{CSI}?25l",
    f"{CSI}6n",
    f"{CSI}c",
    f"{CSI}>c",
    f"{CSI}31mred",
    f"{CSI}38;2;0;0;0m",
    f"{CSI}8mhidden{CSI}0m",
    f"{CSI}5i",  # printer
    f"{CSI}20t",
    f"{CSI}999999999C",
    f"{ESC}c",  # full reset
    f"{ESC}Z",
    f"{ESC}7{ESC}8",
    f"{ESC}#8",
    f"{ESC}P+q544e{ST}",  # DCS
    f"{ESC}P1$r0m{ST}",
    f"{ESC}_Gf=100;AAAA{ST}",  # APC: kitty graphics
    f"{ESC}^private{ST}",
    f"{ESC}Xstring{ST}",
    "\x9b2J",  # the same as eight-bit controls
    "\x9d52;c;aGk=\x9c",
    "\x90+q\x9c",
    "\x9fG\x9c",
    "\x85next line",
    "\x00nul\x08\x08\x08\x7f",
    "\r overwritten",
    "\x0b\x0c\x0e\x0f",
    "\u202egnp.exe\u202c",  # bidi
    "\u2066isolate\u2069",
    "zero\u200bwidth\u200d\ufeff",
    "a" + "\u0301" * 500,  # a flood of accents
    "[/bold]",
    "[red]x",
    "[@click=app.quit]quit[/]",
    "[link=https://evil.example]x[/link]",
    "[",
    "\\[x]",
    "$accent",
    "{format}",
    "\ud800",
    "漢字漢字" * 20,
    "👩‍👩‍👧‍👦🏳️‍🌈",
)
