package client

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// answerError says what is wrong with an answer. It quotes nothing of it.
type answerError string

func (e answerError) Error() string { return string(e) }

const (
	errNotUTF8     answerError = "the answer is not UTF-8"
	errNotJSON     answerError = "the answer is not one JSON value"
	errNotObject   answerError = "the answer is not a JSON object"
	errDuplicate   answerError = "an object of the answer has a duplicate member"
	errStatusCode  answerError = "statusCode is not an integer"
	errNoData      answerError = "data is absent"
	errNullData    answerError = "data is null; NullDataMeansNone reads that as an empty list"
	errDataType    answerError = "data is of the wrong type"
	errDataContent answerError = "data lacks a required member"
	errTooManyRows answerError = "data has too many rows"
)

// envelope is what GenAuth wraps around every answer of its V3 API.
type envelope struct {
	statusCode int
	hasStatus  bool
	apiCode    int
	// badCode is whether there is an apiCode which is not an integer.
	badCode   bool
	message   string
	requestID string
	// data is nil if absent.
	data json.RawMessage
}

// success reports whether the envelope itself says so. GenAuth documents that
// apiCode is absent on success; 0 says the same.
func (e envelope) success() bool {
	return e.statusCode == 200 && e.apiCode == 0 && !e.badCode
}

// checkJSON reports why text is not exactly one JSON value in UTF-8.
// encoding/json alone would replace invalid UTF-8 silently. It bounds the depth.
func checkJSON(text []byte) error {
	switch {
	case !utf8.Valid(text):
		return errNotUTF8
	case !json.Valid(text):
		return errNotJSON
	}
	return nil
}

// readEnvelope reads a whole answer. If it fails the envelope is zero: nothing
// of an answer that cannot be read is believed.
func readEnvelope(text []byte) (envelope, error) {
	if err := checkJSON(text); err != nil {
		return envelope{}, err
	}
	var e envelope
	err := members(text, func(name string, value json.RawMessage) error {
		switch name {
		case "statusCode":
			if e.statusCode, e.hasStatus = readInt(string(value)); !e.hasStatus {
				return errStatusCode
			}
		case "apiCode":
			e.apiCode, e.badCode = readAPICode(value)
		case "message":
			e.message, _ = readString(value)
		case "requestId":
			e.requestID, _ = readString(value)
		case "data":
			e.data = value
		}
		return nil
	})
	if err != nil {
		return envelope{}, err
	}
	return e, nil
}

// readAPICode reads a number, or a string that holds one: GenAuth's older
// documents show "2011".
func readAPICode(value json.RawMessage) (code int, bad bool) {
	if isNull(value) {
		return 0, false
	}
	text := string(value)
	if s, ok := readString(value); ok {
		text = s
	}
	code, ok := readInt(text)
	return code, !ok
}

// readInt reads an integer that is written in the one usual way: not "+1", "-0"
// or "01".
func readInt(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text {
		return 0, false
	}
	return n, true
}

// members calls visit for every member of the object in text, which must be
// valid JSON. It refuses duplicates: which of the two counts would depend on
// the reader. Names are compared as they are, unlike encoding/json does it for
// structs, where "DATA" fills a field named data.
func members(text []byte, visit func(name string, value json.RawMessage) error) error {
	if !isObject(text) {
		return errNotObject
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return errNotJSON
	}
	seen := make(map[string]struct{})
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return errNotJSON
		}
		if _, duplicate := seen[name]; duplicate {
			return errDuplicate
		}
		seen[name] = struct{}{}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return errNotJSON
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
	return nil
}

// elements calls visit for every element of the array in text, which must be
// valid JSON.
func elements(text []byte, visit func(value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return errNotJSON
	}
	for d.More() {
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return errNotJSON
		}
		if err := visit(value); err != nil {
			return err
		}
	}
	return nil
}

func readString(value json.RawMessage) (string, bool) {
	var s string
	if !startsWith(value, '"') || json.Unmarshal(value, &s) != nil {
		return "", false
	}
	return s, true
}

func isNull(value []byte) bool   { return string(value) == "null" }
func isArray(value []byte) bool  { return startsWith(value, '[') }
func isObject(value []byte) bool { return startsWith(value, '{') }

func startsWith(value []byte, first byte) bool {
	value = bytes.TrimLeft(value, " \t\r\n")
	return len(value) > 0 && value[0] == first
}
