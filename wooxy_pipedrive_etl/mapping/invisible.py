"""Characters that nobody sees, and that come along when text is copied: zero-width ones, byte-order marks and direction
marks. They include the joiners inside emoji and words, so they are kept inside a text."""

from __future__ import annotations

# Marks that turn what follows from right to left, or back.
_DIRECTION_MARKS = "\u061c\u200e\u200f" + "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
# Not all of Unicode's format characters: the flags of England, Scotland and Wales end in some.
INVISIBLE = "".join(
    [
        "\u00ad\u061c\u180e\ufeff",
        *map(chr, range(0x200B, 0x2010)),
        *map(chr, range(0x202A, 0x202F)),
        *map(chr, range(0x2060, 0x2065)),
        *map(chr, range(0x2066, 0x2070)),
    ]
)
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))
_NOTHING = dict.fromkeys(map(ord, INVISIBLE))
_NO_MARKS = dict.fromkeys(map(ord, _DIRECTION_MARKS))


def trimmed(text: str) -> str:
    """Without spaces and invisible characters at its ends."""
    stripped = text.strip()
    return stripped if stripped.isascii() else stripped.strip(INVISIBLE + _BLANKS)


def without_direction_marks(text: str) -> str:
    """For names that are shown beside other text. Joiners stay: some scripts need them to form letters."""
    return text if text.isascii() else text.translate(_NO_MARKS)


def without_invisible(text: str) -> str:
    return text if text.isascii() else text.translate(_NOTHING)
