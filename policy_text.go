package echomfa

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a policy's text may be at most: its bytes, and its parentheses one in
// another.
const (
	maxPolicyText  = 4096
	maxPolicyDepth = 32
)

// PolicySyntaxError is a mistake in the text of a policy. It matches
// [ErrInvalidPolicy].
type PolicySyntaxError struct {
	// Offset is the byte of the text, counted from 0, at which the mistake is.
	// It is the length of the text if something is missing at its end.
	Offset int
	// Message says what the mistake is.
	Message string
}

// Error returns the offset and the message.
func (e *PolicySyntaxError) Error() string {
	return fmt.Sprintf("%v at offset %d: %s", ErrInvalidPolicy, e.Offset, e.Message)
}

// Is reports whether target is ErrInvalidPolicy.
func (e *PolicySyntaxError) Is(target error) bool { return target == ErrInvalidPolicy }

// ParsePolicy returns the policy that text describes, such as
//
//	OTP or FACE
//	OTP and (SMS or EMAIL)
//	2 of (OTP, SMS, "WEBAUTHN-KEY")
//	exempt "health check"
//
// The grammar, in the notation of the Go specification:
//
//	text   = policy | "exempt" quoted .
//	policy = term { "or" term } .
//	term   = factor { "and" factor } .
//	factor = type | number "of" "(" type { "," type } ")" | "(" policy ")" .
//	type   = "OTP" | "TOTP" | "SMS" | "EMAIL" | "FACE" | "PASSKEY" | quoted .
//	number = digit { digit } .
//	quoted = an interpreted string literal of Go, such as "WEBAUTHN-KEY" .
//
// Words may be in any case. Spaces, tabs and line ends separate them. A type
// that is not quoted must be a known one, so that a slip of the pen is found at
// start-up. A text has at most 4,096 bytes and 32 parentheses one in another.
//
// The error is a [*PolicySyntaxError]. The policy is then an invalid one that
// carries the same error.
func ParsePolicy(text string) (Policy, error) {
	p, err := parse(text)
	if err != nil {
		return Policy{p: &policy{err: err}}, err
	}
	return p, nil
}

func parse(text string) (Policy, error) {
	if len(text) > maxPolicyText {
		return Policy{}, &PolicySyntaxError{maxPolicyText, fmt.Sprintf("text has more than %d bytes", maxPolicyText)}
	}
	r := reader{text: text}
	if err := r.next(); err != nil {
		return Policy{}, err
	}
	start, p := r.at, Policy{}
	if r.is("exempt") {
		reason, err := r.reason()
		if err != nil {
			return Policy{}, err
		}
		p = Exempt(reason)
	} else {
		a, err := r.policy()
		if err != nil {
			return Policy{}, err
		}
		p = written(a)
	}
	if r.kind != end {
		return Policy{}, r.unexpected("the end")
	}
	if err := p.Err(); err != nil {
		cause := strings.TrimPrefix(err.Error(), ErrInvalidPolicy.Error()+": ")
		return Policy{}, &PolicySyntaxError{start, cause}
	}
	return p, nil
}

// String returns the canonical text of the policy, from which [ParsePolicy]
// makes an equal one: equal policies that are not exempt have the same text.
// The name is not part of it. The text of an invalid policy is "invalid policy"
// and the mistake, which does not parse.
func (p Policy) String() string {
	if err := p.Err(); err != nil {
		return strings.TrimPrefix(err.Error(), "echomfa: ")
	}
	return p.p.text
}

// MarshalText returns the text of [Policy.String], or the error of an invalid
// policy. It implements [encoding.TextMarshaler].
func (p Policy) MarshalText() ([]byte, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	return []byte(p.p.text), nil
}

// UnmarshalText makes p the policy that [ParsePolicy] reads from text. After an
// error p is what it was. It implements [encoding.TextUnmarshaler], so that a
// policy can be read from JSON or, by [flag.TextVar], from the command line.
func (p *Policy) UnmarshalText(text []byte) error {
	q, err := ParsePolicy(string(text))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// format returns the canonical text of a.
func (a antichain) format() string {
	common := a.sets[0]
	for _, set := range a.sets {
		common &= set
	}
	if len(a.sets) == 1 {
		return spell(a.types(common), " and ")
	}
	text, simple := a.formatRest(common)
	if common == 0 {
		return text
	}
	if !simple {
		text = "(" + text + ")"
	}
	return spell(a.types(common), " and ") + " and " + text
}

// formatRest returns the text of the sets, of which there are several, without
// their common types, and whether it can be a factor without parentheses.
func (a antichain) formatRest(common uint32) (text string, simple bool) {
	all := union(a.sets) &^ common
	// The sets are ordered by size: if there are as many as can be of the
	// first one's size, then there is no other.
	size := bits.OnesCount32(a.sets[0] &^ common)
	if bits.OnesCount32(a.sets[len(a.sets)-1]&^common) == size && len(a.sets) == binomial(bits.OnesCount32(all), size) {
		if size == 1 {
			return spell(a.types(all), " or "), false
		}
		return strconv.Itoa(size) + " of (" + spell(a.types(all), ", ") + ")", true
	}
	terms := make([]string, len(a.sets))
	for i, set := range a.sets {
		terms[i] = spell(a.types(set&^common), " and ")
		if bits.OnesCount32(set&^common) > 1 {
			terms[i] = "(" + terms[i] + ")" // not needed, but easier to read
		}
	}
	return strings.Join(terms, " or "), false
}

// kind is what a token is.
type kind uint8

const (
	end    kind = iota
	word        // letters, digits, "_" and "-"
	quoted      // a string literal
	mark        // "(", ")" or ","
)

// reader reads the text of a policy, one token ahead. Each of its methods that
// reads a piece begins at the piece's first token and ends at the token after
// its last.
type reader struct {
	text  string
	rest  int // where what follows the token begins
	depth int

	kind  kind
	at    int    // where the token begins
	token string // as written
}

// next goes to the next token.
func (r *reader) next() error {
	trimmed := strings.TrimLeft(r.text[r.rest:], " \t\r\n")
	r.at = len(r.text) - len(trimmed)
	size := 1
	switch {
	case trimmed == "":
		r.kind, size = end, 0
	case trimmed[0] == '"':
		literal, err := strconv.QuotedPrefix(trimmed)
		if err != nil {
			return r.fail("string is not ended or has a bad escape")
		}
		r.kind, size = quoted, len(literal)
	case strings.IndexByte("(),", trimmed[0]) >= 0:
		r.kind = mark
	case wordByte(trimmed[0]):
		for size < len(trimmed) && wordByte(trimmed[size]) {
			size++
		}
		r.kind = word
	default:
		char, _ := utf8.DecodeRuneInString(trimmed)
		return r.fail("unexpected character " + strconv.QuoteRune(char))
	}
	r.token, r.rest = trimmed[:size], r.at+size
	return nil
}

func wordByte(b byte) bool {
	return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '_' || b == '-'
}

// is reports whether the token is a keyword. Words are ASCII.
func (r *reader) is(keyword string) bool {
	return r.kind == word && strings.EqualFold(r.token, keyword)
}

// skip goes past a mark, which must be the token.
func (r *reader) skip(m string) error {
	if r.kind != mark || r.token != m {
		return r.unexpected(strconv.Quote(m))
	}
	return r.next()
}

// reason reads what follows "exempt".
func (r *reader) reason() (string, error) {
	if err := r.next(); err != nil {
		return "", err
	}
	if r.kind != quoted {
		return "", r.unexpected("a quoted reason")
	}
	return r.unquote()
}

// unquote reads a string literal.
func (r *reader) unquote() (string, error) {
	s, err := strconv.Unquote(r.token)
	if err != nil {
		return "", r.fail("bad string")
	}
	return s, r.next()
}

func (r *reader) policy() (antichain, error) {
	return r.chain("or", r.term, antichain.or)
}

func (r *reader) term() (antichain, error) {
	return r.chain("and", r.factor, antichain.and)
}

// chain reads pieces with the operator between them.
func (r *reader) chain(operator string, piece func() (antichain, error), by func(a, b antichain) (antichain, error)) (antichain, error) {
	a, err := piece()
	for err == nil && r.is(operator) {
		at := r.at
		if err = r.next(); err != nil {
			break
		}
		var b antichain
		if b, err = piece(); err != nil {
			break
		}
		if a, err = by(a, b); err != nil {
			err = &PolicySyntaxError{at, err.Error()}
		}
	}
	return a, err
}

func (r *reader) factor() (antichain, error) {
	switch {
	case r.kind == word && strings.Trim(r.token, "0123456789") == "":
		return r.threshold()
	case r.kind == mark && r.token == "(":
		return r.group()
	}
	at := r.at
	t, err := r.factorType()
	if err != nil {
		return antichain{}, err
	}
	return r.kOf(at, 1, []FactorType{t})
}

// group reads a policy in parentheses.
func (r *reader) group() (antichain, error) {
	if r.depth == maxPolicyDepth {
		return antichain{}, r.fail(fmt.Sprintf("more than %d parentheses one in another", maxPolicyDepth))
	}
	r.depth++
	if err := r.next(); err != nil {
		return antichain{}, err
	}
	a, err := r.policy()
	if err != nil {
		return antichain{}, err
	}
	r.depth--
	return a, r.skip(")")
}
