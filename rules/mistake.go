package rules

import (
	"fmt"
	"strings"
)

// Mistake is one thing that is wrong with a file.
type Mistake struct {
	// Code names the kind of mistake, such as "unknown-key". It is stable.
	Code string `json:"code"`
	// File is the name that Parse was given.
	File string `json:"file"`
	// Line and Column are where it is, from 1; the column counts characters. Both are 0 if
	// it has no place.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Suggestion says what may be meant. It may be empty.
	Suggestion string `json:"suggestion,omitempty"`
	// Note says that the file may be meant so: a check lists it and does not fail by it.
	Note bool `json:"note,omitempty"`
}

// String returns the mistake as compilers print them: file:line:column: message.
func (m Mistake) String() string {
	text := m.Message
	if m.Suggestion != "" {
		text += ": " + m.Suggestion
	}
	if m.Line == 0 {
		return m.File + ": " + text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, text)
}

// Mistakes is the error of a file that cannot be used: all that is wrong with it, in the
// order of the file.
type Mistakes []Mistake //nolint:errname // a list, which is an error as a whole

// Error returns one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, 0, len(m))
	for _, mistake := range m {
		lines = append(lines, mistake.String())
	}
	return strings.Join(lines, "\n")
}
