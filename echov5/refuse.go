package echov5

import (
	"bufio"
	"errors"
	"net"
	"net/http"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v5"
)

// refuse answers a refusal. It returns nil where it has written the answer, so that
// neither Echo nor a logger answers again.
func (m *mount) refuse(c *echo.Context, refusal error) error {
	w, r := c.Response(), c.Request()
	if committed(w) {
		// An earlier middleware has begun an answer, and nothing can be added to
		// it. Its status does not tell that the request was refused. The error does.
		return httpError(refusal)
	}
	if m.handle == nil {
		m.guard.Refuse(w, r, refusal)
		return nil
	}
	tracked := &tracker{ResponseWriter: w, status: echomfa.Status(refusal)}
	written := func() bool { return tracked.wrote || committed(w) }
	c.SetResponse(tracked)
	defer c.SetResponse(w)
	var meant answer
	err := m.guard.RefuseBy(tracked, r, refusal, written, func(refusal error) error {
		err := m.handle(c, httpError(refusal))
		meant = answerTo(err)
		return err
	})
	switch {
	case err == nil, tracked.wrote && !committed(w):
		return nil
	case answerTo(err) == meant:
		return err
	}
	// The error quoted a secret, and what stands for it is not known to Echo.
	message := m.guard.Redact(r, refusal, errors.New(meant.message)).Error()
	return echo.NewHTTPError(meant.status, message).Wrap(err)
}

// httpError is how Echo is told a refusal.
func httpError(refusal error) error {
	status := echomfa.Status(refusal)
	return echo.NewHTTPError(status, http.StatusText(status)).Wrap(refusal)
}

// answer is what Echo's error handlers make of an error.
type answer struct {
	status  int
	message string
}

func answerTo(err error) answer {
	a := answer{status: echo.StatusCode(err)}
	var h *echo.HTTPError
	if errors.As(err, &h) {
		a.message = h.Message
	}
	return a
}

// committed reports whether an answer is on its way to the client. Middleware that
// holds an answer back, as Gzip does, has not committed it.
func committed(w http.ResponseWriter) bool {
	response, err := echo.UnwrapResponse(w)
	return err == nil && response.Committed
}

// tracker knows whether an ErrorHandler has written an answer, also where
// middleware holds that back.
type tracker struct {
	http.ResponseWriter
	status int // of the refusal
	wrote  bool
}

func (t *tracker) WriteHeader(status int) {
	t.wrote = t.wrote || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracker) Write(b []byte) (int, error) {
	t.wrote = true
	return t.ResponseWriter.Write(b)
}

// FlushError sends what there is. A status that nobody has written is the
// refusal's: it would become a 200.
func (t *tracker) FlushError() error {
	if !t.wrote {
		t.WriteHeader(t.status)
	}
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Flush is for those who ask for an http.Flusher.
func (t *tracker) Flush() { _ = t.FlushError() }

// Hijack gives the connection away, and with it the answer.
func (t *tracker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	t.wrote = true
	return http.NewResponseController(t.ResponseWriter).Hijack()
}

// Unwrap lets Echo and http.ResponseController reach the writer below.
func (t *tracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }
