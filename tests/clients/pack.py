"""A pack file, read without our reader: any tool that knows WebAssembly finds the weights."""


def sections(path, wanted):
    """The contents of the custom sections of that name at the top level, in order."""
    bytes_, at = path.read_bytes(), 8
    found = []
    while at < len(bytes_):
        kind = bytes_[at]
        length, start = leb128(bytes_, at + 1)
        at = start + length
        if kind == 0:
            name_length, name = leb128(bytes_, start)
            content = name + name_length
            if bytes_[name:content].decode() == wanted:
                found.append(bytes_[content:at])
    return found


def leb128(bytes_, at):
    """A number, and where what follows it begins."""
    number = shift = 0
    while True:
        number |= (bytes_[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if bytes_[at - 1] < 0x80:
            return number, at
