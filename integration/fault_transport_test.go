package integration_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

func noteDials(s *setup) { s.dials = &dialLog{} }

func TestF01ConnectionRefused(t *testing.T) {
	fault{
		setup: noteDials,
		begin: func(r *rig) {
			r.genauth.CloseIdleConnections()
			r.front.refuse()
		},
		stale: true,
		after: func(t *testing.T, r *rig, _ []reply) {
			t.Helper()
			assert.LessOrEqual(t, len(r.dials.all()), 2*len(callers()), "one retry at most")
		},
		whole: true,
	}.run(t)
}

func TestF02NameDoesNotResolve(t *testing.T) {
	const host = "genauth.invalid" // RFC 6761, section 6.4: there is no such host
	fault{
		setup: func(s *setup) {
			s.client.BaseURL, s.client.InsecureHTTP = "http://"+host, true
			s.dials = &dialLog{home: host + ":80"}
		},
		begin: func(r *rig) {
			r.dials.forgetAlias()
			r.front.end()
		},
		stale: true,
		lasts: true,
	}.run(t)
}

func TestF04NoAnswerAfterTheRequest(t *testing.T) {
	fault{
		setup: func(s *setup) { s.toxic = &toxic{} },
		begin: func(r *rig) { r.toxic.add(r.t, `{"type":"timeout","attributes":{"timeout":0}}`) },
		stale: true,
		lasts: true,
		after: func(t *testing.T, r *rig, _ []reply) {
			t.Helper()
			same := make([]caller, 20)
			for i := range same {
				same[i] = caller{browser: i%2 == 0, has: true, token: tokenWith("same")}
			}
			for _, got := range r.askAll(same) {
				r.refused(got, http.StatusServiceUnavailable)
			}
		},
	}.run(t)
}

func TestF05HeaderDrips(t *testing.T) {
	fault{
		begin: func(r *rig) { r.front.become(drip("", "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1000))) },
		stale: true,
		lasts: true,
	}.run(t)
}

func TestF06BodyDrips(t *testing.T) {
	fault{
		begin: func(r *rig) { r.front.become(drip("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", " ")) },
		stale: true,
		lasts: true,
	}.run(t)
}

func TestF07ConnectionBreaksInTheBody(t *testing.T) {
	body := envelope("OTP")
	whole := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	begins := map[string]func(*rig){
		"reset in the body":                  func(r *rig) { r.front.become(reset(whole[:len(whole)-1])) },
		"closed in the body":                 func(r *rig) { r.front.become(send(whole[:len(whole)-1])) },
		"reset before the answer":            func(r *rig) { r.front.become(reset("")) },
		"toxiproxy: reset_peer":              func(r *rig) { r.toxic.add(r.t, `{"type":"reset_peer","attributes":{"timeout":0}}`) },
		"toxiproxy: limit_data, in the head": func(r *rig) { r.toxic.add(r.t, `{"type":"limit_data","attributes":{"bytes":20}}`) },
		"toxiproxy: limit_data, in the body": func(r *rig) {
			r.front.answer(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.WriteString(w, truth(req)+strings.Repeat(" ", 2000))
			})
			r.toxic.add(r.t, `{"type":"limit_data","attributes":{"bytes":1500}}`)
		},
	}
	t.Parallel()
	for name, begin := range begins {
		t.Run(name, func(t *testing.T) {
			fault{
				setup: func(s *setup) { s.toxic = &toxic{} },
				begin: func(r *rig) {
					// A connection from before has carried data already.
					r.genauth.CloseIdleConnections()
					r.front.end()
					begin(r)
				},
				stale: true,
				after: func(t *testing.T, r *rig, _ []reply) {
					t.Helper()
					assert.Zero(t, r.enforcer.Stats().Entries, "nothing is cached")
				},
			}.run(t)
		})
	}
}

// TestF07ConnectionBreaksOnce shows that one connection which breaks ahead of its
// answer is nobody's business: the call is made once more. If nothing is known of the
// token, it may be why the connection broke, and it is not.
func TestF07ConnectionBreaksOnce(t *testing.T) {
	t.Parallel()
	for _, c := range callers() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			for _, known := range []bool{true, false} {
				r := newRig(t)
				if known {
					r.right(r.ask(c))
					require.NoError(t, r.enforcer.Invalidate(t.Context(), c.token))
					r.genauth.CloseIdleConnections()
				}
				before := r.front.accepted()
				r.front.become(func(conn net.Conn, ended <-chan struct{}) {
					r.front.answer(tellTruth)
					reset("")(conn, ended)
				})
				if known {
					r.right(r.ask(c))
					assert.Equal(t, 2, r.front.accepted()-before)
				} else {
					r.refused(r.ask(c), http.StatusServiceUnavailable)
					assert.Equal(t, 1, r.front.accepted()-before)
				}
			}
		})
	}
}

func TestF21RedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			redirected(status, func(r *rig) string { return strings.Replace(r.front.elsewhere, "127.0.0.1", "localhost", 1) }).run(t)
		})
	}
}

func TestF22RedirectToTheSameHost(t *testing.T) {
	t.Parallel()
	t.Run("other port", func(t *testing.T) {
		redirected(http.StatusFound, func(r *rig) string { return r.front.elsewhere }).run(t)
	})
	t.Run("http instead of https", func(t *testing.T) {
		f := redirected(http.StatusFound, func(r *rig) string { return "http://" + r.front.addr })
		f.setup = func(s *setup) { s.tls = newTLSRig(t) }
		f.run(t)
	})
	t.Run("itself", func(t *testing.T) {
		redirected(http.StatusFound, func(r *rig) string { return "http://" + r.front.addr }).run(t)
	})
}

func redirected(status int, to func(*rig) string) fault {
	return fault{
		setup: noteDials,
		begin: func(r *rig) {
			r.front.answer(func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Location", to(r)+req.URL.RequestURI())
				w.WriteHeader(status)
				_, _ = io.WriteString(w, truth(req))
			})
		},
		stale: true,
		after: func(t *testing.T, r *rig, all []reply) {
			t.Helper()
			for _, got := range all {
				assert.Equal(t, 1, r.front.calls(got.token), "not followed, and not tried again")
			}
		},
	}
}

func TestF23BadCertificates(t *testing.T) {
	t.Parallel()
	certificates := map[string]func(*rig) tls.Certificate{
		"unknown authority": func(r *rig) tls.Certificate { return newAuthority(r.t).issue(nil) },
		"wrong name": func(r *rig) tls.Certificate {
			return r.tls.authority.issue(func(c *x509.Certificate) {
				c.IPAddresses, c.DNSNames = []net.IP{net.IPv4(127, 0, 0, 2)}, []string{"genauth.example"}
			})
		},
		"expired": func(r *rig) tls.Certificate {
			return r.tls.authority.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		},
		"not for a server": func(r *rig) tls.Certificate {
			return r.tls.authority.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		},
	}
	for name, certificate := range certificates {
		t.Run(name, func(t *testing.T) {
			badCertificate(t, certificate).run(t)
		})
	}
	t.Run("unknown authority, the client's own transport", func(t *testing.T) {
		t.Parallel()
		f := badCertificate(t, func(r *rig) tls.Certificate { return r.tls.cert })
		r := newRig(t, func(s *setup) {
			s.tls = newTLSRig(t)
			s.tls.untrusted = true
		})
		f.begin(r)
		for _, got := range r.askAll(callers()) {
			r.refused(got, http.StatusServiceUnavailable)
		}
		assert.Equal(t, len(callers()), r.front.accepted())
	})
	t.Run("no TLS at all", func(t *testing.T) {
		fault{
			setup: func(s *setup) { s.tls = newTLSRig(t) },
			begin: func(r *rig) {
				r.genauth.CloseIdleConnections()
				r.front.become(func(conn net.Conn, _ <-chan struct{}) {
					hello := make([]byte, 5) // the start of a ClientHello
					if _, err := io.ReadFull(conn, hello); err == nil {
						_, _ = io.WriteString(conn, "HTTP/1.0 400 Bad Request\r\n\r\n")
					}
				})
			},
			stale: true,
		}.run(t)
	})
}

// badCertificate notes all that comes after the handshake: nothing must.
func badCertificate(t *testing.T, certificate func(*rig) tls.Certificate) fault {
	t.Helper()
	return fault{
		setup: func(s *setup) { s.tls, s.dials = newTLSRig(t), &dialLog{} },
		begin: func(r *rig) {
			r.genauth.CloseIdleConnections()
			config := r.tls.good()
			config.Certificates = []tls.Certificate{certificate(r)}
			r.front.become(func(conn net.Conn, _ <-chan struct{}) {
				secured := tls.Server(conn, config)
				got, err := io.ReadAll(secured)
				assert.Error(r.t, err)
				assert.Empty(r.t, got, "the client has sent something to a server that is not GenAuth")
			})
		},
		stale: true,
		after: func(t *testing.T, r *rig, _ []reply) {
			t.Helper()
			assert.Len(t, r.dials.all(), len(callers()), "another try cannot mend it")
		},
	}
}

func TestF24HTTP2Breaks(t *testing.T) {
	t.Parallel()
	acts := map[string]func(*http2.Framer, uint32) error{
		"GOAWAY before the request": func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"GOAWAY after the request": func(f *http2.Framer, stream uint32) error {
			if err := f.WriteGoAway(stream, http2.ErrCodeInternal, nil); err != nil {
				return err
			}
			return io.EOF
		},
		"RST_STREAM INTERNAL_ERROR": func(f *http2.Framer, stream uint32) error { return f.WriteRSTStream(stream, http2.ErrCodeInternal) },
		"RST_STREAM REFUSED_STREAM": func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		},
		"RST_STREAM CANCEL": func(f *http2.Framer, stream uint32) error { return f.WriteRSTStream(stream, http2.ErrCodeCancel) },
		"silence":           func(*http2.Framer, uint32) error { return nil },
	}
	for name, act := range acts {
		t.Run(name, func(t *testing.T) {
			fault{
				setup: func(s *setup) { s.tls = newTLSRig(t) },
				begin: func(r *rig) {
					r.genauth.CloseIdleConnections()
					r.front.become(speakHTTP2(r.tls, act))
				},
				stale: true,
				lasts: true,
			}.run(t)
		})
	}
	t.Run("GOAWAY once", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(s *setup) { s.tls = newTLSRig(t) })
		var once sync.Once
		r.front.become(speakHTTP2(r.tls, func(f *http2.Framer, stream uint32) error {
			// The next connection is good.
			once.Do(func() { r.front.answer(tellTruth) })
			return acts["GOAWAY before the request"](f, stream)
		}))
		r.granted(r.ask(callers()[0]))
		assert.Equal(t, 2, r.front.accepted())
		r.sentToEnroll(r.ask(callers()[1]))
	})
}

// speakHTTP2 answers each request by act.
func speakHTTP2(x *tlsRig, act func(*http2.Framer, uint32) error) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, _ <-chan struct{}) {
		secured := tls.Server(conn, x.good())
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(secured, preface); err != nil {
			return
		}
		framer := http2.NewFramer(secured, secured)
		if framer.WriteSettings() != nil {
			return
		}
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					err = framer.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				err = act(framer, frame.StreamID)
			}
			if err != nil {
				return
			}
		}
	}
}
