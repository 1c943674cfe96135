package claims

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestWalkTakesNothingElse shows that reading the members finds by itself what is no
// JSON object: it does not rest upon what was looked at before.
func TestWalkTakesNothingElse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{"a`, `{"a"`, `{"a":`, `{"a":[}`, `{"a":1,"a":2}`, `{1:2}`} {
		found, err := walk([]byte(text), isAny)
		assert.Error(t, err, text)
		assert.Nil(t, found, text)
	}
	found, err := walk([]byte(`{"a":1,"b":[2]}`), func(name string) bool { return name == "b" })
	assert.NoError(t, err)
	assert.Equal(t, members{"b": []byte("[2]")}, found)
}
