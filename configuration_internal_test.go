package echomfa

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestConfigurationNamesEveryFieldAndItsDefault compares the tables of
// docs/configuration.md with the structs and with the defaults that are in force.
func TestConfigurationNamesEveryFieldAndItsDefault(t *testing.T) {
	t.Parallel()
	genauth, err := client.New(client.Config{BaseURL: "https://genauth.example", AppID: "app"})
	require.NoError(t, err)
	enforcer, err := New(Config{Client: genauth})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, enforcer.Close()) })
	defaults := enforcer.cfg

	// What the reader has to know is not always the value: see each.
	said := map[string]string{
		"echomfa.Config.Client":             "required",
		"echomfa.Config.TokenLookup":        "`" + defaultTokenLookup + "`", // read, and not kept
		"echomfa.Config.Audience":           "the app id",
		"echomfa.Config.Namespace":          "none", // New adds the base URL and the app id
		"echomfa.Config.Logger":             "none", // New puts one that discards
		"echomfa.Config.UserRefKey":         "none", // New hides it
		"echomfa.MiddlewareConfig.Enforcer": "required",
		"echomfa.MiddlewareConfig.Policy":   "required",
		"echomfa.HandlerConfig.Policy":      "required",
		"client.Config.BaseURL":             "required",
		"client.Config.AppID":               "required",
	}
	assert.Equal(t, []string{genauth.AppID()}, defaults.Audience)

	rows := map[string]any{
		"echomfa.Config":           defaults,
		"echomfa.ReturnToConfig":   defaults.ReturnTo,
		"echomfa.CacheConfig":      defaults.Cache,
		"echomfa.LookupConfig":     defaults.Lookup,
		"echomfa.MiddlewareConfig": MiddlewareConfig{},
		"echomfa.HandlerConfig":    HandlerConfig{},
		"client.Config": client.Config{
			AppIDHeader: client.DefaultAppIDHeader, Timeout: client.DefaultTimeout,
			MaxBodyBytes: client.DefaultMaxBodyBytes, UserAgent: client.DefaultUserAgent,
		},
	}
	page, err := os.ReadFile("docs/configuration.md")
	require.NoError(t, err)
	for name, value := range rows {
		want := make(map[string]string)
		v := reflect.ValueOf(value)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() {
				continue
			}
			shown, ok := said[name+"."+field.Name]
			if !ok {
				shown = shownInTable(v.Field(i).Interface())
			}
			want[field.Name] = shown
		}
		assert.Equal(t, want, configTable(t, string(page), name), name)
	}
}

// configTable reads the table under a heading: the defaults by field.
func configTable(t *testing.T, page, name string) map[string]string {
	t.Helper()
	_, section, found := strings.Cut(page, "### `"+name+"`\n")
	require.True(t, found, "docs/configuration.md has no section for %s", name)
	section, _, _ = strings.Cut(section, "\n##")
	rows := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.*?) \\| (.+) \\|$").FindAllStringSubmatch(section, -1) {
		assert.NotContains(t, rows, row[1], "%s: a field is listed twice", name)
		rows[row[1]] = row[2]
	}
	return rows
}

// shownInTable writes a default as the tables do.
func shownInTable(value any) string {
	switch v := value.(type) {
	case time.Duration:
		switch {
		case v == 0:
			return "off"
		case v%time.Second == 0:
			return fmt.Sprintf("%d s", v/time.Second)
		default:
			return fmt.Sprintf("%d ms", v/time.Millisecond)
		}
	case int:
		return grouped(int64(v))
	case int64:
		return grouped(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return fmt.Sprintf("`%t`", v)
	case string:
		if v != "" {
			return "`" + v + "`"
		}
	case OnUnavailable:
		if v == Refuse {
			return "`Refuse`"
		}
	case Mode:
		if v == Enforce {
			return "`Enforce`"
		}
	case ReturnToConfig, CacheConfig, LookupConfig:
		return "see below"
	}
	return "none"
}

// grouped writes a number with commas between the thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
