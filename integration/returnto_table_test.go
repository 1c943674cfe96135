package integration_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slashes are what a browser, a proxy or a decoder may take for a slash, or for
// nothing at all, between slashes.
func slashes() []string {
	return []string{
		"", "/", "//", "///", `\`, `/\`, `\/`, `\\`, `/\/`, "%2f", "%2F", "/%2f", "%2f%2f", "/%5c", "%5C", "%5c/", "/%255c", "/%252f",
		"/%25252f", "/%25252525252f", "/\t/", "/%09/", "/%0a/", "/%0d%0a/", "/\r/", "/\x00/", "/%00/", "/%0b", "/ /", "/%20/", "/+/",
		"/./", "/../", "/.", "/..", "/%2e/", "/%2e%2e/", "/.%2e/", "/%252e%252e/", "/..;/", `/..\`, "/..%2f", "/..%5c", "/.%00./",
		"/x//", "/x/..//", "/x/..%2f/", "/x%2f..%2f/", "/x//..%2f..%2f/", "/x%2fy/..%2f%2f", "/x/..;//", "/;x/", "/x/%5c", "/x/..%5c%5c", "/.;/", "/x/%2e%2e//", "/x/..%2f/", "/;/", "/@", "/:@", "/~//", "/?", "/?/", "/#/", "/%3f//", "/%23//", "/%40",
		"/\u2215", "/\uff0f", "/%ef%bc%8f", "/%ef%bc%8f%ef%bc%8f", "/\uff3c", "/%c0%af", "/%e0%80%af", "/%u2215", "/\u202e/", "/%e2%80%ae/",
		"/%c2%85/", "/\u3002/", "/%7f/", "/%", "/%2", "/%2/", "/%%2f", "/%2%66", "/|/", "/[/", "/]//",
	}
}

// hosts are what may stand where a host would.
func hosts() []string {
	return []string{
		evil, evil + "/%2f..", evil + "%2f..", "@" + evil, "admin.example.com@" + evil, evil + ":443/@admin.example.com",
		"https://" + evil, "https:" + evil, "https:/" + evil, "javascript:alert(1)//", "data:text/html,x", "%68ttps://" + evil,
		"\uff45vil.example", "evil\u3002example", "[::1]", "2130706433", evil + "?return_to=//" + evil, evil + "#@admin.example.com",
	}
}

// TestT29BrowserStaysOnThisOrigin sends a browser, and a script of a page, from
// every address that the two lists make, and follows it. Each address goes to
// one of the two adapters for each kind of EnrollURL, and in the siege all of them do.
func TestT29BrowserStaysOnThisOrigin(t *testing.T) {
	t.Parallel()
	var targets []string
	for i, first := range slashes() {
		for j, second := range slashes() {
			targets = append(targets, first+second+hosts()[(7*i+j)%len(hosts())])
		}
		for _, host := range hosts() {
			targets = append(targets, first+host, "/a"+first+host, "/a?"+first+host, "https://"+evil+first+host)
		}
	}
	require.Greater(t, len(targets), 10000)
	for i, s := range newSites(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			kept := 0
			for n := (i + i/2) % 2; n < len(targets); n += 2 * addresses {
				if s.leadsBack(t, targets[n]) {
					kept++
				}
				s.htmx(t, pages(targets[n])[n%3])
			}
			assert.Greater(t, kept, 500/addresses, "what is refused altogether shows nothing")
		})
	}
}

// pages are the addresses that a script may claim to be on.
func pages(target string) []string {
	return []string{target, ownOrigin + target, "https://admin.example.com:443@" + evil + target}
}

// leadsBack reports whether a browser that asks for target is sent away with a
// return-to. That names the place that was asked for, and no other.
func (s *site) leadsBack(t *testing.T, target string) bool {
	t.Helper()
	back, ok := s.navigate(t, target)
	if ok && strings.HasPrefix(target, "/") {
		path, query, _ := strings.Cut(strings.TrimPrefix(back, ownOrigin), "?")
		wantPath, wantQuery, _ := strings.Cut(target, "?")
		require.Equal(t, escape(wantPath), path, target)
		require.Equal(t, wantQuery, query, target)
	}
	return ok
}

// TestT29GoodAddressesAreKept has addresses that come back byte for byte.
func TestT29GoodAddressesAreKept(t *testing.T) {
	t.Parallel()
	paths := []string{
		"/", "/admin", "/admin/", "/a/b.html", "/a/b..c/.d/e.", "/a/...", "/~user/@me:1", "/caf%C3%A9", "/caf%c3%a9", "/a%20b", "/a+b",
		"/a%2Fb", "/a%2fb", "/100%25", "/a;b=c,d", "/(a)'!*$&", "/%E4%BD%A0", "/[a]", "/%7Ea", "/%41", "/a%3Fb%23c", "/" + strings.Repeat("a", 1500),
		// Nothing of this leads away: the beginning is what counts.
		"/admin/api/queues/%2F/amq.queue", "/admin//double", "/admin/proxy/https%3A%2F%2Fexample.com%2Fx", "/web/%2fevil.example", "/a/%5Cb",
		"/a//", "/a/..%2Fb", "/a/%252e%252e/b", "/a/https://evil.example/", "/a/;/b", "/%25252525252541",
		"/https:evil.example", "/evil.example", "/www.evil.example:80", "/%EF%BC%8Fevil.example",
	}
	queries := []string{
		"", "?", "?a", "?page=2&sort=-name", "?a=b+c%20d%2Be", "?return_to=https://evil.example/&return_to=//evil.example", "??//", `?a=\\b//c/../d`,
		"?a=%00%0d%0a", "?q=%E4%BD%A0", "?q=" + "\u4f60", "?a=\"<b>'`{|}^", "?&&=;,@:/", "?%", "?%zz", "?" + strings.Repeat("b", 500),
	}
	for i, s := range newSites(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for j, path := range paths {
				for k, query := range queries {
					if (i+j+k)%addresses != 0 {
						continue
					}
					want := path + query
					back, ok := s.navigate(t, want)
					require.True(t, ok, "%q is left out", want)
					require.Equal(t, want, strings.TrimPrefix(back, ownOrigin))
					require.Equal(t, s.absolute, strings.HasPrefix(back, ownOrigin))

					back, _ = s.htmx(t, ownOrigin+want+"#fragment")
					require.Equal(t, want, strings.TrimPrefix(back, ownOrigin))
				}
			}
		})
	}
}

// payloads are the addresses that published advisories and their fixes' tests
// are about, with another host's name.
func payloads() map[string][]string {
	return map[string][]string{
		"oauth2-proxy GHSA-qqxw-m5fj-f7gv": {`/\evil.example`, `\\evil.example`, `/\/evil.example`},
		"oauth2-proxy GHSA-j7px-6hwj-hpjg": {
			"/\t/evil.example", "/\t\\evil.example", "/\n/evil.example", "/\r/evil.example", "/\v/evil.example", `/ \evil.example`,
			"/%09/evil.example", "/%0a/evil.example", "/%0b/evil.example", "/%0d/evil.example", "/%09%5cevil.example",
		},
		"oauth2-proxy GHSA-5m6c-jp6f-2vcv": {
			"/\t/\t\\evil.example", "/\t\t/\t/evil.example", "/\t\t\\\t/evil.example", `/./\evil.example`, `/./../../\evil.example`, "/.//evil.example",
			"/%2e/%5cevil.example", "/%2e%2e//evil.example",
		},
		"oauth2-proxy GHSA-4mf2-f3wh-gvf2": {
			"https://evil-admin.example.com/", "https://admin.example.com.evil.example/", "https://eviladmin.example.com/x",
		},
		"echo CVE-2022-40083": {"//evil.example%2f..", "//evil.example/..", "///evil.example/%2f.."},
		"echo #1771":          {"/%5Cevil.example", "/%5cevil.example/", "/%5C%5Cevil.example/%2e%2e"},
		"chi GHSA-mqqf-5wvp-8fh8 and GHSA-vrw8-fxc6-2r93": {`/\evil.example/`, "//evil.example/", `/\\evil.example/`},
		"MCP registry CVE-2026-44427":                     {"//evil.example/", "//evil.example//", "///evil.example/"},
		"Miniflux CVE-2025-67713 and CVE-2026-55185":      {"//evil.example", `/\evil.example`, `/\/evil.example`, "/%5c/evil.example", "/../\\evil.example"},
		"Mastodon CVE-2026-33868":                         {"/%2fevil.example", "/%2Fevil.example/x", "/web/..%2f%2fevil.example"},
		"others": {
			"https://admin.example.com@evil.example/", "https://admin.example.com:443@evil.example/", "https:evil.example", "https:/evil.example",
			"javascript:alert(1)", "//evil%E3%80%82example", "//evil.example:80@admin.example.com/", "/..//evil.example", "/x/..//evil.example",
			"/x/%2e%2e/%2fevil.example", "//%0devil.example", "/%2f%5c%2fevil.example", "/%252f%252fevil.example", "http:///evil.example",
			`https://admin.example.com\@evil.example/`, `https://evil.example\.admin.example.com/`, "//[::1]/", "//2130706433/", "////evil.example/%2e%2e",
		},
	}
}

// TestT29PublishedPayloads asks for each payload, and has it as return-to and
// as the address of an HTMX page. None is taken, by either page.
func TestT29PublishedPayloads(t *testing.T) {
	t.Parallel()
	for _, s := range newSites(t) {
		for advisory, list := range payloads() {
			t.Run(s.name+", "+advisory, func(t *testing.T) {
				t.Parallel()
				for _, payload := range list {
					back, ok := s.navigate(t, payload)
					if strings.HasPrefix(payload, "/") { // of the absolute form, only the path counts
						assert.False(t, ok, "%q is kept as %q", payload, back)
					}
					for range 2 {
						assert.Empty(t, s.enforcer.ReturnTo(payload), payload)
						assert.Empty(t, s.enforcer.ReturnTo(ownOrigin+payload), payload)
						_, ok = s.htmx(t, ownOrigin+payload)
						assert.False(t, ok, payload)
						payload = unescape(payload)
					}
					s.htmx(t, payload)
					s.navigate(t, "/admin?return_to="+payload)
				}
			})
		}
	}
}

// TestT29PayloadsOverASocket sends the payloads over a real connection and reads
// the header that a browser would.
func TestT29PayloadsOverASocket(t *testing.T) {
	t.Parallel()
	splits := regexp.MustCompile(`[\r\n]`)
	for _, s := range newSites(t) {
		server := httptest.NewServer(s.handler)
		t.Cleanup(server.Close)
		for _, list := range payloads() {
			for _, payload := range list {
				conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
				require.NoError(t, err)
				_, err = conn.Write([]byte("GET " + payload + " HTTP/1.1\r\nHost: admin.example.com\r\nSec-Fetch-Mode: navigate\r\n" +
					"Authorization: Bearer " + answertest.NotEnrolled + "\r\nConnection: close\r\n\r\n"))
				require.NoError(t, err)
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err, payload)
				if res.StatusCode != http.StatusBadRequest && !splits.MatchString(payload) {
					require.Equal(t, http.StatusFound, res.StatusCode, payload)
					s.follow(t, payload, res.Header["Location"])
				}
				require.NoError(t, res.Body.Close())
				require.NoError(t, conn.Close())
			}
		}
	}
}

// FuzzReturnToStaysOnOrigin follows a browser, and an HTMX page's script, from
// whatever address.
func FuzzReturnToStaysOnOrigin(f *testing.F) {
	sites := newSites(f)
	f.Fuzz(func(t *testing.T, target string) {
		for _, s := range sites {
			s.leadsBack(t, target)
			for _, page := range pages(target) {
				s.htmx(t, page)
			}
		}
	})
}
