"""Runs a command in a pseudo-terminal and draws its last screen as an SVG; see terminal-picture.sh.

Knows as much of a VT100 as command lines with progress bars use: carriage return, backspace, tabs, moving the
cursor, erasing, scrolling, colours. Only Python's standard library.
"""

import argparse
import codecs
import fcntl
import os
import pathlib
import pty
import re
import signal
import shlex
import struct
import subprocess
import sys
import termios
import unicodedata
from xml.sax.saxutils import escape, quoteattr

HEIGHT = 50  # of the terminal, in lines; the picture holds what scrolled out of it, too

# Of the picture, in pixels.
CELL, LINE, FONT, MARGIN, BAR = 8.4, 20, 14, 16, 34

FOREGROUND, BACKGROUND = "#d4d4d8", "#18181b"
COLOURS = [
    "#3f3f46", "#f87171", "#4ade80", "#facc15", "#60a5fa", "#e879f9", "#22d3ee", "#d4d4d8",
    "#a1a1aa", "#fca5a5", "#86efac", "#fde047", "#93c5fd", "#f0abfc", "#67e8f9", "#ffffff",
]

# A control sequence, another escape, a command to the terminal's window, or one character.
TOKEN = re.compile(
    r"\x1b\[([?>=]?[0-9;:]*)([ -/]*[@-~])|\x1b\](?:[^\x07\x1b]*)(?:\x07|\x1b\\)|\x1b([()][0-9A-B]|[=>78MDEc])|([^\x1b])",
    re.DOTALL,
)
UNFINISHED = re.compile(r"\x1b(?:\[[?>=]?[0-9;:]*[ -/]*|\][^\x07\x1b]*\x1b?|[()]?)?$")


def colour_of(number):
    """One of the 256 colours that terminals number."""
    if number < 16:
        return COLOURS[number]
    if number < 232:
        number -= 16
        levels = [0, 95, 135, 175, 215, 255]
        return "#%02x%02x%02x" % (levels[number // 36], levels[number // 6 % 6], levels[number % 6])
    grey = 8 + 10 * (number - 232)
    return "#%02x%02x%02x" % (grey, grey, grey)


def cells_of(character):
    """How many columns a character takes; none when it is put on the one before it."""
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Style:
    """How characters look: the colours by name, and which of the attributes are on."""

    def __init__(self):
        self.foreground = self.background = None
        self.on = frozenset()

    def key(self):
        return self.foreground, self.background, self.on

    def apply(self, numbers):
        """Takes the numbers of an `ESC [ … m`."""
        numbers = list(numbers)
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self.__init__()
            elif number in (1, 2, 3, 4, 7, 9):
                self.on |= {number}
            elif number == 22:
                self.on -= {1, 2}
            elif number in (23, 24, 27, 29):
                self.on -= {number - 20}
            elif 30 <= number <= 37:
                self.foreground = COLOURS[number - 30]
            elif 40 <= number <= 47:
                self.background = COLOURS[number - 40]
            elif 90 <= number <= 97:
                self.foreground = COLOURS[number - 82]
            elif 100 <= number <= 107:
                self.background = COLOURS[number - 92]
            elif number == 39:
                self.foreground = None
            elif number == 49:
                self.background = None
            elif number in (38, 48):
                colour = self.long_colour(numbers)
                if number == 38:
                    self.foreground = colour
                else:
                    self.background = colour

    @staticmethod
    def long_colour(numbers):
        kind = numbers.pop(0) if numbers else 0
        if kind == 5 and numbers:
            return colour_of(min(numbers.pop(0), 255))
        if kind == 2 and len(numbers) >= 3:
            return "#%02x%02x%02x" % tuple(min(numbers.pop(0), 255) for _ in range(3))
        return None


class Screen:
    """The lines of a terminal, those that scrolled out of it included: characters with their looks."""

    def __init__(self, columns):
        self.columns = columns
        self.lines = [{}]
        self.row = self.column = 0
        self.saved = (0, 0)
        self.style = Style()
        self.rest = ""

    def top(self):
        """The line that is the terminal's first."""
        return max(0, len(self.lines) - HEIGHT)

    def write(self, text):
        text = self.rest + text
        unfinished = UNFINISHED.search(text)
        self.rest = unfinished.group() if unfinished else ""
        for match in TOKEN.finditer(text[: len(text) - len(self.rest)]):
            parameters, command, escaped, character = match.groups()
            if command:
                self.control(parameters, command)
            elif escaped:
                self.escape(escaped)
            elif character:
                self.character(character)

    def line(self):
        while len(self.lines) <= self.row:
            self.lines.append({})
        return self.lines[self.row]

    def character(self, character):
        if character == "\n":
            self.row += 1
            self.line()
        elif character == "\r":
            self.column = 0
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character == "\t":
            self.column = min(self.columns - 1, self.column // 8 * 8 + 8)
        elif unicodedata.category(character) != "Cc":
            self.put(character)

    def put(self, character):
        width = cells_of(character)
        line = self.line()
        if width == 0:
            before = max((column for column in line if column < self.column), default=None)
            if before is not None:
                text, cells, key = line[before]
                line[before] = (text + character, cells, key)
            return
        if self.column + width > self.columns:
            self.row, self.column = self.row + 1, 0
            line = self.line()
        self.erase(self.column, self.column + width)
        line[self.column] = (character, width, self.style.key())
        self.column += width

    def erase(self, start, end):
        """Takes away what touches the columns from `start` to before `end`."""
        line = self.line()
        for column in [column for column in line if column + line[column][1] > start and column < end]:
            del line[column]

    def escape(self, what):
        if what == "7":
            self.saved = (self.row, self.column)
        elif what == "8":
            self.row, self.column = self.saved
        elif what == "M":
            self.row = max(self.top(), self.row - 1)
        elif what in "DE":
            self.row, self.column = self.row + 1, 0 if what == "E" else self.column
            self.line()
        elif what == "c":
            self.__init__(self.columns)

    def control(self, parameters, command):
        if parameters[:1] in ("?", ">", "="):
            return  # whether the cursor is shown, and the like
        numbers = [int(number or 0) for number in re.split("[;:]", parameters)]
        count = numbers[0] or 1
        if command == "m":
            self.style.apply(numbers)
        elif command in "AF":
            self.row = max(self.top(), self.row - count)
        elif command in "BE":
            self.row = min(self.row + count, self.top() + HEIGHT - 1)
            self.line()
        elif command == "C":
            self.column = min(self.columns - 1, self.column + count)
        elif command == "D":
            self.column = max(0, self.column - count)
        elif command in "G`":
            self.column = min(self.columns, count) - 1
        elif command in "Hf":
            self.row = self.top() + min(count, HEIGHT) - 1
            self.column = min(numbers[1] or 1 if len(numbers) > 1 else 1, self.columns) - 1
            self.line()
        elif command == "K":
            bounds = {0: (self.column, self.columns), 1: (0, self.column + 1), 2: (0, self.columns)}
            self.erase(*bounds.get(numbers[0], (0, 0)))
        elif command == "J":
            self.erase_screen(numbers[0])
        elif command == "P":
            self.delete(count)
        if command in "EF":
            self.column = 0

    def erase_screen(self, which):
        row = self.row
        if which == 0:
            self.erase(self.column, self.columns)
            rows = range(row + 1, len(self.lines))
        elif which == 1:
            self.erase(0, self.column + 1)
            rows = range(self.top(), row)
        else:
            rows = range(self.top(), len(self.lines))
        for number in rows:
            self.lines[number] = {}

    def delete(self, count):
        self.erase(self.column, self.column + count)
        line = self.line()
        moved = {column: line.pop(column) for column in list(line) if column > self.column}
        line.update({column - count: cell for column, cell in moved.items()})

    def written(self):
        """The lines down to the last one on which something stands."""
        last = max((number for number, line in enumerate(self.lines) if line), default=-1)
        return self.lines[: last + 1]


def runs(line):
    """The line in pieces of one look: where each begins, its text, how many columns it takes, its look."""
    found = []
    for column in sorted(line):
        text, cells, key = line[column]
        if found and cells == 1 and found[-1][4] and found[-1][0] + found[-1][2] == column and found[-1][3] == key:
            found[-1][1] += text
            found[-1][2] += cells
        else:
            # A wide character stands alone: fonts disagree about its width.
            found.append([column, text, cells, key, cells == 1])
    return found


def draw(lines, columns, title):
    """The picture: a dark window, as dark on a light page as on a dark one."""
    width = round(2 * MARGIN + columns * CELL)
    height = BAR + 2 * MARGIN + len(lines) * LINE
    font = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', monospace"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label={quoteattr(title)}>',
        f"<title>{escape(title)}</title>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{BACKGROUND}" '
        'stroke="#71717a"/>',
    ]
    for place, colour in enumerate(("#f87171", "#facc15", "#4ade80")):
        parts.append(f'<circle cx="{MARGIN + 4 + place * 18}" cy="{BAR // 2}" r="5" fill="{colour}"/>')
    parts.append(
        f'<g font-family="{font}" font-size="{FONT}" fill="{FOREGROUND}" style="white-space: pre" '
        'xml:space="preserve">'
    )
    for number, line in enumerate(lines):
        baseline = BAR + MARGIN + number * LINE + FONT
        for column, text, cells, key, _ in runs(line):
            parts.extend(draw_run(MARGIN + column * CELL, baseline, text, cells * CELL, key))
    parts.append("</g></svg>")
    return "\n".join(parts) + "\n"


def draw_run(x, baseline, text, length, key):
    foreground, background, on = key
    if 7 in on:
        foreground, background = background or BACKGROUND, foreground or FOREGROUND
    if background:
        yield f'<rect x="{x:.1f}" y="{baseline - FONT}" width="{length:.1f}" height="{LINE}" fill="{background}"/>'
    if not text.strip() and not on & {4, 9}:
        return
    looks = [f'fill="{foreground}"'] if foreground else []
    looks += ['font-weight="bold"'] if 1 in on else []
    looks += ['opacity="0.65"'] if 2 in on else []
    looks += ['font-style="italic"'] if 3 in on else []
    lines = [name for number, name in ((4, "underline"), (9, "line-through")) if number in on]
    looks += [f'text-decoration="{" ".join(lines)}"'] if lines else []
    attributes = "".join(f" {look}" for look in looks)
    yield (
        f'<text x="{x:.1f}" y="{baseline}" textLength="{length:.1f}"{attributes}>{escape(text)}</text>'
    )


def run(command, columns, screen):
    """Runs the command until it ends, and returns its exit code."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment["TERM"] = "xterm-256color"
    if "utf" not in (environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG", "")).lower():
        environment["LC_ALL"] = "C.UTF-8"
    try:
        child = subprocess.Popen(
            command,
            stdin=its,
            stdout=its,
            stderr=its,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    except OSError as error:
        sys.exit(f"terminal-picture: could not run `{command[0]}`: {error.strerror}")
    os.close(its)
    # An interrupt is the command's to answer; what it says then belongs to the picture.
    signal.signal(signal.SIGINT, lambda *_: os.write(ours, b"\x03"))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    watched = sys.stderr.isatty()
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the way in which Linux says that nobody holds the other end any more
            break
        if not data:
            break
        screen.write(decoder.decode(data))
        if watched:
            sys.stderr.buffer.write(data)
            sys.stderr.flush()
    status = child.wait()
    return status if status >= 0 else 128 - status


def main():
    parser = argparse.ArgumentParser(prog="terminal-picture.sh", description=__doc__)
    default = pathlib.Path(__file__).resolve().parent / "up.svg"
    parser.add_argument("--output", metavar="FILE", type=pathlib.Path, default=default)
    parser.add_argument("--columns", metavar="N", type=int, default=80)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="default: milvusctl up")
    arguments = parser.parse_args()
    if arguments.columns < 1:
        parser.error("--columns: expected at least 1")
    command = arguments.command or ["milvusctl", "up"]
    command = command[1:] if command[:1] == ["--"] else command
    title = shlex.join(command)
    screen = Screen(arguments.columns)
    screen.write(f"\x1b[32m$\x1b[0m \x1b[1m{title}\x1b[0m\r\n")
    status = run(command, arguments.columns, screen)
    arguments.output.write_text(draw(screen.written(), arguments.columns, title), encoding="utf-8")
    print(f"wrote {arguments.output}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
