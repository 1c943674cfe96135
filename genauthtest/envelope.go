package genauthtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
)

// envelope is the frame of every answer under /api/v3. GenAuth documents that
// the HTTP status is 200 and that statusCode tells success.
type envelope struct {
	StatusCode int    `json:"statusCode"`
	APICode    int    `json:"apiCode,omitempty"`
	Message    string `json:"message"`
	RequestID  string `json:"requestId"`
	Data       any    `json:"data,omitempty"`
}

// succeed answers with data; nil leaves the member out.
func succeed(data any) Answer {
	return jsonAnswer(http.StatusOK, envelope{StatusCode: http.StatusOK, Message: "Operation successful", RequestID: newUUID(), Data: data})
}

// fail answers with a failure in an HTTP 200. An apiCode of 0 is left out.
//
// It has no data, and so does not match the schema that GenAuth's OpenAPI
// document has for the HTTP 200 of most calls, which requires data: that is the
// schema of a success, and the document has none for failures. The failures that
// GenAuth's pages print have no data, or on an older page null.
func fail(statusCode, apiCode int, message string) Answer {
	return jsonAnswer(http.StatusOK, envelope{StatusCode: statusCode, APICode: apiCode, Message: message, RequestID: newUUID()})
}

func jsonAnswer(status int, value any) Answer {
	return Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body:   encode(value),
	}
}

// encode is json.Marshal without the escapes for HTML. Values are the
// package's own, so an error is a mistake in it.
func encode(value any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic("genauthtest: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// readJSON decodes a request's body.
func readJSON(r *http.Request, into any) bool {
	return json.NewDecoder(r.Body).Decode(into) == nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // documented never to fail
	return b
}

// randomHex returns 2n hexadecimal digits.
func randomHex(n int) string { return hex.EncodeToString(randomBytes(n)) }

// newUUID returns a random UUID of version 4 (RFC 9562 section 5.4).
func newUUID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
