package rules

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// The limits of a file. Memory goes with the number of values: a value of one byte
// becomes a node of 200.
const (
	maxBytes    = 1 << 20
	maxRules    = 10_000
	maxValues   = 150_000
	maxDepth    = 16
	maxEntries  = 20_000
	maxHosts    = 16
	maxMistakes = 100
	maxText     = 1 << 10
)

// decoder reads a file and collects what is wrong with it.
type decoder struct {
	file            string
	mistakes, notes findings
}

// findings are the first maxMistakes of a kind.
type findings struct {
	Mistakes

	left int // how many were not kept
}

// full reports whether no more are kept.
func (f *findings) full() bool { return len(f.Mistakes) == maxMistakes }

func (f *findings) add(m Mistake) {
	if f.full() {
		f.left++
		return
	}
	f.Mistakes = append(f.Mistakes, m)
}

// fail notes a mistake.
func (d *decoder) fail(at place, code, suggestion, format string, args ...any) {
	d.mistakes.add(d.mistake(at, code, suggestion, format, args...))
}

// suggest is a suggestion, or "" also if nobody will see it.
func (d *decoder) suggest(word string, known []string) string {
	if d.mistakes.full() {
		return ""
	}
	return didYouMean(word, known)
}

// note notes what the file may be meant to say.
func (d *decoder) note(at place, code, format string, args ...any) {
	m := d.mistake(at, code, "", format, args...)
	m.Note = true
	d.notes.add(m)
}

func (d *decoder) mistake(at place, code, suggestion, format string, args ...any) Mistake {
	return Mistake{Code: code, File: d.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}
}

// failed reports whether there is a mistake.
func (d *decoder) failed() bool { return len(d.mistakes.Mistakes) > 0 }

// sorted returns the mistakes and the notes in the order of the file.
func (d *decoder) sorted() Mistakes {
	all := slices.Concat(d.mistakes.Mistakes, d.notes.Mistakes)
	slices.SortStableFunc(all, byPlace)
	if left := d.mistakes.left; left > 0 {
		all = append(all, Mistake{Code: "more", File: d.file, Message: fmt.Sprintf("and %d more mistakes", left)})
	}
	if left := d.notes.left; left > 0 {
		all = append(all, Mistake{Code: "more", File: d.file, Message: fmt.Sprintf("and %d more notes", left), Note: true})
	}
	return all
}

func byPlace(a, b Mistake) int {
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return a.Column - b.Column
}

func at(n *yaml.Node) place { return place{n.Line, n.Column} }

// load makes a tree of the file, or nil.
func (d *decoder) load(data []byte) *yaml.Node {
	if !d.readable(data) {
		return nil
	}
	var documents []yaml.Node
	err := yaml.Load(data, &documents, yaml.WithAllDocuments(), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	switch {
	case err != nil:
		d.syntax(err)
		return nil
	case len(documents) == 0, documents[0].Kind == yaml.DocumentNode && len(documents[0].Content) == 0:
		d.fail(place{1, 1}, "empty", "", "the file is empty")
		return nil
	case len(documents) > 1:
		d.fail(at(&documents[1]), "documents", "remove the line ---", "the file has more than one document")
		return nil
	}
	root := &documents[0]
	if root.Kind == yaml.DocumentNode {
		root = root.Content[0]
	}
	return root
}

// readable reports whether the bytes can be given to the YAML parser: what that says of
// these mistakes has no place or does not help, or it would take too much memory.
func (d *decoder) readable(data []byte) bool {
	start := place{1, 1}
	switch {
	case len(data) > maxBytes:
		d.fail(start, "size", "", "the file has %d bytes, which is more than %d", len(data), maxBytes)
		return false
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		d.fail(start, "byte-order-mark", "save the file as UTF-8 without one", "the file begins with a byte order mark")
		return false
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		d.fail(start, "encoding", "save the file as UTF-8", "the file is in UTF-16")
		return false
	}
	values := 0
	for number, line := range lines(data) {
		here := func(offset int) place { return place{number, utf8.RuneCount(line[:offset]) + 1} }
		for rest := line; ; {
			offset := bytes.IndexFunc(rest, func(r rune) bool { return r == utf8.RuneError || hidden(r) })
			if offset < 0 {
				break
			}
			offset += len(line) - len(rest)
			r, size := utf8.DecodeRune(line[offset:])
			if r > utf8.RuneSelf && r != utf8.RuneError {
				d.fail(here(offset), "hidden", "remove it", "the character %U, which editors do not show as what it is", r)
				return false
			}
			if r != utf8.RuneError || size == 1 {
				d.fail(here(offset), "encoding", "save the file as UTF-8", "a byte that is no text")
				return false
			}
			rest = line[offset+len("\uFFFD"):]
		}
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && len(indent) < len(line) {
			d.fail(here(tab), "tab", "indent with spaces", "a tab at the beginning of a line")
		}
		if values += valuesOf(line); values > maxValues {
			d.fail(place{number, 1}, "size", "", "the file has more than %d values", maxValues)
			return false
		}
	}
	return !d.failed()
}

// hidden reports whether a character lets a file read other than it is. YAML begins a new
// line at some that editors show in the middle of one, such as in a comment; others turn
// the text around, or control a terminal.
func hidden(r rune) bool {
	switch {
	case r == '\t', r == '\n':
		return false
	case r >= '\u2028' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return true
	}
	return unicode.IsControl(r)
}

// valuesOf counts the signs by which YAML tells values apart: a line has at most so many.
// Signs that no file needs count more: they cost more, too.
func valuesOf(line []byte) int {
	count := 1
	before, last := byte(' '), len(line)-1
	for i, c := range line {
		ends := i == last || line[i+1] == ' ' || line[i+1] == '\t'
		switch c {
		case ',':
			count += 2 // in a mapping a key and no value
		case '[', '{', ':':
			count++
		case '-', '?':
			if ends {
				count++
			}
		case '"', '\'':
			if isBegin(before) {
				count++
			}
		case '&', '*', '!':
			if !ends && isBegin(before) {
				count += 10
			}
		}
		before = c
	}
	return count
}

// isBegin reports whether a value may begin behind a sign.
func isBegin(before byte) bool { return strings.IndexByte(" \t,[{&*!", before) >= 0 }

// lines yields the lines and their numbers.
func lines(data []byte) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for number := 1; len(data) > 0; number++ {
			line, rest, _ := bytes.Cut(data, []byte("\n"))
			if !yield(number, bytes.TrimSuffix(line, []byte("\r"))) {
				return
			}
			data = rest
		}
	}
}

// syntax notes what the YAML parser does not understand.
func (d *decoder) syntax(err error) {
	var load *yaml.LoadError
	if many := (*yaml.LoadErrors)(nil); errors.As(err, &many) && len(many.Errors) > 0 {
		load = many.Errors[0]
	} else if !errors.As(err, &load) {
		d.fail(place{1, 1}, "syntax", "", "%v", err)
		return
	}
	where := place{max(load.Mark.Line, 1), max(load.Mark.Column, 1)}
	code := "syntax"
	if strings.Contains(load.Message, "exceeded max depth") {
		code = "depth"
	}
	d.fail(where, code, "", "%s", strings.TrimPrefix(load.Message, "yaml: "))
}

// field is a key of a mapping and its value.
type field struct{ key, value *yaml.Node }

// mapping returns the fields of a mapping, and reports whether it is one. Keys that are
// not known, and those that are there twice, are mistakes.
func (d *decoder) mapping(n *yaml.Node, what string, known ...string) (map[string]field, bool) {
	if !d.plain(n) {
		return nil, false
	}
	if n.Kind != yaml.MappingNode {
		d.fail(at(n), "type", suggestKeys(known), "%s must be a mapping, not %s", what, kindOf(n))
		return nil, false
	}
	fields := make(map[string]field, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name, ok := d.text(key, "a key")
		if !ok {
			continue
		}
		before, twice := fields[name]
		switch {
		case twice:
			d.fail(at(key), "duplicate-key", "", "the key %s is there twice, first in line %d", name, before.key.Line)
		case known != nil && !slices.Contains(known, name):
			suggestion := d.suggest(name, known)
			if suggestion == "" {
				suggestion = suggestKeys(known)
			}
			d.fail(at(key), "unknown-key", suggestion, "unknown key %q in %s", name, what)
		default:
			fields[name] = field{key, value}
		}
	}
	return fields, true
}

func suggestKeys(known []string) string {
	if len(known) == 0 {
		return ""
	}
	return "its keys are " + strings.Join(known, ", ")
}

// list returns the values of a list, and reports whether it is one with a value.
func (d *decoder) list(n *yaml.Node, what string) ([]*yaml.Node, bool) {
	if !d.plain(n) {
		return nil, false
	}
	switch {
	case n.Kind != yaml.SequenceNode:
		d.fail(at(n), "type", "put it in [ ]", "%s must be a list, not %s", what, kindOf(n))
		return nil, false
	case len(n.Content) == 0:
		d.fail(at(n), "empty-list", "leave the key out", "%s is an empty list", what)
		return nil, false
	}
	return n.Content, true
}

// text returns the text of a value, and reports whether it is one.
func (d *decoder) text(n *yaml.Node, what string) (string, bool) {
	if !d.plain(n) {
		return "", false
	}
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null":
		d.fail(at(n), "type", "", "%s must be a text, not %s", what, kindOf(n))
		return "", false
	case n.ShortTag() != "!!str":
		d.fail(at(n), "type", fmt.Sprintf("put it in quotes: %q", shortened(n.Value)), "%s must be a text, not %s", what, kindOf(n))
		return "", false
	case strings.TrimSpace(n.Value) == "":
		d.fail(at(n), "empty-text", "", "%s is empty", what)
		return "", false
	case len(n.Value) > maxText:
		d.fail(at(n), "size", "", "%s has more than %d bytes", what, maxText)
		return "", false
	}
	if i := strings.IndexFunc(n.Value, hidden); i >= 0 { // by an escape
		r, _ := utf8.DecodeRuneInString(n.Value[i:])
		d.fail(at(n), "hidden", "remove it", "%s has the character %U, which is not shown as what it is", what, r)
		return "", false
	}
	return n.Value, true
}

// sentence returns a text for people, in one line: otherwise it could pass for more lines
// of what shows it.
func (d *decoder) sentence(n *yaml.Node, what string) string {
	text, _ := d.text(n, what)
	return strings.Join(strings.Fields(text), " ")
}

// plain reports whether a value is written out, without the devices of YAML by which a
// small file stands for a large one or a value for another type.
func (d *decoder) plain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fail(at(n), "alias", "write the value out, or give a policy a name", "aliases are not read")
		return false
	case n.Anchor != "":
		d.fail(at(n), "alias", "remove &"+shortened(n.Anchor), "anchors are not read")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(at(n), "tag", "remove "+shortened(n.Tag), "tags are not read")
		return false
	}
	return true
}

// kindOf says what a value is.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!null":
			return "nothing"
		case "!!int", "!!float":
			return "the number " + shortened(n.Value)
		case "!!bool":
			return "the truth value " + shortened(n.Value)
		case "!!timestamp":
			return "the date " + shortened(n.Value)
		}
		return fmt.Sprintf("the text %q", shortened(n.Value))
	case yaml.AliasNode, yaml.DocumentNode, yaml.StreamNode:
	}
	return "something else"
}

// shortened keeps a mistake readable.
func shortened(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "..."
}
