"""The formulas of doc comments, which are plain text there, as MathML.

    y = x relu6(x + 3) / 6    names beside each other are a product, or words
    H' = floor((H + 1) / 2)   a floor, a ceiling and a root have their signs
    y = [a(x); b(x)], k^T     brackets, indices such as x_i, powers
"""

import re

TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)|(?P<name>[A-Za-z]\w*(?:\.\w+)*'*)|(?P<dots>\.\.\.)|"
                   r"(?P<sign>->|>=|<=|==|\+=|-=|\*=|[-+*/^=<>,;:|()\[\]%.×]))")
# Where a formula without brackets goes on as a sentence.
WORDS = set("""a all also alone an and are as at be before beside but by channels each else for from has have if in instead into
is it its kernel long no not of on once only or over plus so than that the then these this times to until when where which
whose with without was were""".split())
RELATIONS = {"=": "=", "==": "=", "<": "&lt;", ">": "&gt;", "<=": "≤", ">=": "≥", "->": "→", "+=": "+=", "-=": "−=",
             "*=": "∙="}
PAIRS = {"floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉")}


class NoFormula(Exception):
    pass


def operator(sign, space="0.22em"):
    return f'<mo lspace="{space}" rspace="{space}">{sign}</mo>'


def fence(sign, stretchy):
    return f'<mo stretchy="{"true" if stretchy else "false"}">{sign}</mo>'


class Parser:
    """One formula. `stacked` sets a quotient as a fraction, and otherwise with a stroke."""

    def __init__(self, text, stacked):
        text = re.sub(r"(?<=\d)( ?)x( ?)(?=\d)", r"\1×\2", text)
        self.tokens, at = [], 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if not match:
                raise NoFormula(text)
            self.tokens.append((match.lastgroup, match[match.lastgroup], match[0][:1].isspace()))
            at = match.end()
        self.at = 0
        self.stacked = stacked
        self.inner = None  # of the operand that was read last: what its parentheses hold

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ("end", "", False)

    def take(self, *signs):
        kind, text, _ = self.peek()
        if kind == "sign" and text in signs:
            self.at += 1
            return text
        return None

    def need(self, sign):
        if not self.take(sign):
            raise NoFormula(sign)

    def whole(self):
        result = self.relation()
        if self.at < len(self.tokens):
            raise NoFormula(self.tokens[self.at])
        return result

    def relation(self):
        result = self.sum()
        while sign := self.take(*RELATIONS):
            result += operator(RELATIONS[sign], "0.28em") + self.sum()
        return result

    def sum(self):
        result = ""
        if sign := self.take("-", "+"):
            result = f'<mo form="prefix">{"−" if sign == "-" else "+"}</mo>'
        result += self.product()
        while sign := self.take("+", "-"):
            result += operator("−" if sign == "-" else "+") + self.product()
        return result

    def product(self):
        """A quotient's numerator is all that stands beside each other before it, up to the last quotient."""
        done, run = "", self.power()
        whole = self.inner  # a numerator needs no parentheses around all of it
        while True:
            if self.take("/"):
                below = self.power(bare=self.stacked)
                if self.stacked:
                    done = self.beside(done, f"<mfrac><mrow>{whole or run}</mrow><mrow>{below}</mrow></mfrac>")
                    run = ""
                else:
                    run += operator("/", "0.1em") + below
                whole = None
            elif sign := self.take("*", "×", "%"):
                run += {"*": operator("·"), "×": operator("×", "0.1em"), "%": operator("mod", "0.3em")}[sign]
                run += self.power()
                whole = None
            elif self.begins_operand():
                first = not run
                run = self.beside(run, self.power())
                whole = self.inner if first else None
            else:
                return self.beside(done, run)

    @staticmethod
    def beside(left, right):
        return left + ('<mspace width="0.25em"></mspace>' if left and right else "") + right

    def begins_operand(self):
        kind, text, _ = self.peek()
        return kind in ("number", "name", "dots") or (kind == "sign" and text in ("(", "["))

    def power(self, bare=False):
        self.inner = None
        base, inner = self.operand(bare), self.inner
        if self.take("^"):
            base, inner = f"<msup><mrow>{base}</mrow><mrow>{self.operand()}</mrow></msup>", None
        self.inner = inner
        return base

    def group(self, closing, separators=(",", ";")):
        parts = [self.relation()] if self.peek()[1] != closing else [""]
        result = parts[0]
        while sign := self.take(*separators):
            result += f'<mo separator="true">{sign}</mo>' + self.relation()
        self.need(closing)
        return result

    def operand(self, bare=False):
        kind, text, _ = self.peek()
        self.at += 1
        if kind == "number":
            return f"<mn>{text.replace('e-', 'e−')}</mn>"
        if kind == "dots":
            return "<mo>…</mo>"
        if kind == "name":
            following, sign, spaced = self.peek()
            if following == "sign" and sign in "([" and not spaced:
                self.at += 1
                inside = self.group(")" if sign == "(" else "]")
                self.inner = None
                return self.call(text, sign, inside)
            return name(text)
        if kind == "sign":
            if text == ".":
                return "<mo>·</mo>"
            if text == "(":
                inside = self.group(")")
                self.inner = inside
                return inside if bare else f"<mrow>{fence('(', 'mfrac' in inside)}{inside}{fence(')', 'mfrac' in inside)}</mrow>"
            if text == "[":
                inside = self.group("]")
                return f"<mrow>{fence('[', 'mfrac' in inside)}{inside}{fence(']', 'mfrac' in inside)}</mrow>"
            if text == "|":
                inside = self.sum()
                self.need("|")
                return f"<mrow>{fence('|', False)}{inside}{fence('|', False)}</mrow>"
        raise NoFormula(text)

    @staticmethod
    def call(function, sign, inside):
        stretchy = "mfrac" in inside
        if function in PAIRS and sign == "(":
            left, right = PAIRS[function]
            return f"<mrow>{fence(left, stretchy)}{inside}{fence(right, stretchy)}</mrow>"
        if function == "sqrt" and sign == "(":
            # Not <msqrt>, of which browsers draw nothing where no font has its sign.
            single = re.fullmatch(r"<m[in]>[^<]*</m[in]>", inside)
            return f"<mrow><mtext class='sign'>√</mtext>{inside if single else fence('(', stretchy) + inside + fence(')', stretchy)}</mrow>"
        right = ")" if sign == "(" else "]"
        return f"<mrow>{name(function)}{fence(sign, stretchy)}{inside}{fence(right, stretchy)}</mrow>"


def name(text):
    stem = text.rstrip("'")
    primes = "<mo>" + "′" * (len(text) - len(stem)) + "</mo>" if stem != text else ""
    index = re.fullmatch(r"([A-Za-z])_(\w)", stem)
    result = f"<msub><mi>{index[1]}</mi><mi>{index[2]}</mi></msub>" if index else f"<mi>{stem}</mi>"
    return f"<msup>{result}{primes}</msup>" if primes else result


def mathml(text, stacked=False, css=""):
    """MathML of a formula, or None of what is none."""
    try:
        inside = Parser(text, stacked).whole()
    except NoFormula:
        return None
    style = ' displaystyle="true"' if stacked else ""
    css = f' class="{css}"' if css else ""
    return f"<math{css}{style}><mrow>{inside}</mrow></math>"


def end_of_formula(text):
    """How much of a text is the formula that it begins with."""
    depth, last = 0, 0
    for match in re.finditer(r"[A-Za-z]\w*(?:\.\w+)*'*\(?|\.\.\.|[()\[\]]|[,:;.](?=\s|$)|[^\s]", text):
        token = match[0]
        if depth == 0:
            if token in (",", ":", ";", ".", "`", '"'):
                return last
            if token.lower() in WORDS and last > 0:
                return last
        depth += token.count("(") + token.count("[") - token.count(")") - token.count("]")
        if depth < 0:
            return last
        last = match.end()
    return last
