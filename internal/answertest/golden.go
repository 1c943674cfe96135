package answertest

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RegisterUpdate registers the flag -update, which writes the golden files
// instead of comparing with them. A TestMain calls it.
func RegisterUpdate() { flag.Bool("update", false, "write the golden files") }

func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// goldenFile returns where the answer of a row is.
func goldenFile(dir, row string) string {
	name := regexp.MustCompile("[^a-z0-9]+").ReplaceAllString(strings.ToLower(row), "-")
	return filepath.Join(dir, name+".golden")
}

// checkGoldenFiles checks that each row has a file of its own, and each file a
// row.
func checkGoldenFiles(t *testing.T, dir string, all map[string]Row) {
	t.Helper()
	var want []string
	for name := range all {
		want = append(want, goldenFile(dir, name))
	}
	if updating() {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		return
	}
	have, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	assert.ElementsMatch(t, want, have, "run the test of net/http with -update, and delete what has no row")
}

func checkGolden(t *testing.T, file, answer string) {
	t.Helper()
	if updating() {
		require.NoError(t, os.WriteFile(file, []byte(answer), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), answer)
}

// Text returns an answer as the golden files have it.
func Text(w *httptest.ResponseRecorder) string { return answerText(w.Result()) }

// answerText is status, sorted headers and body. Decision ids, which differ
// each time, become as many X, so that the length of the body stays true.
func answerText(answer *http.Response) string {
	var b bytes.Buffer
	b.WriteString(answer.Status + "\n")
	_ = answer.Header.Write(&b) // a buffer takes all
	b.WriteString("\n")
	_, _ = io.Copy(&b, answer.Body)
	text := strings.ReplaceAll(b.String(), "\r\n", "\n")
	id := regexp.MustCompile(`(decision_id":"|<code>)([A-Z2-7]{26})\b`)
	return id.ReplaceAllString(text, "${1}"+strings.Repeat("X", 26))
}

// Golden compares texts with the golden files of a directory: one for each, and
// no other.
func Golden(t *testing.T, dir string, texts map[string]string) {
	t.Helper()
	names := make(map[string]Row, len(texts))
	for name := range texts {
		names[name] = Row{}
	}
	checkGoldenFiles(t, dir, names)
	for name, text := range texts {
		checkGolden(t, goldenFile(dir, name), text)
	}
}
