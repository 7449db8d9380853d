"""Bytes as letters and digits, which a double click selects whole and no shell or URL changes."""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = {character: digit for digit, character in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """Zero bytes at the start get lost: the first byte must not be zero. Takes time in proportion to the square of the
    length."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 62)
        text = ALPHABET[digit] + text
    return text


def decode(text: str) -> bytes:
    """Raises ValueError for any other character."""
    number = 0
    for character in text:
        if (digit := _DIGITS.get(character)) is None:
            raise ValueError("not base62")
        number = number * 62 + digit
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
