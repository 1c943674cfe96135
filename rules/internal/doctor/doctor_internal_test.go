package doctor

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestSecretsAreTakenOut shows the second line of defense.
func TestSecretsAreTakenOut(t *testing.T) {
	t.Parallel()
	var s secrets
	s.addText(map[string]any{"a": []any{"long-value", "short"}, "b": true, "c": nil})
	assert.Equal(t, "a [redacted] short", s.clean("a long-value short"))
	// An app id may be short: then it is taken out as a whole word only.
	assert.Equal(t, `accepted: app id "[redacted]", ([redacted])`, secrets{"a"}.clean(`accepted: app id "a", (a)`))
}
