// Package ginmfa is echomfa for gin. It shows how little an adapter needs: what
// package echomfa exports, and nothing else.
package ginmfa

import (
	"github.com/echomfa/echomfa"
	"github.com/gin-gonic/gin"
)

// Config configures one mount of the middleware.
type Config struct {
	echomfa.GuardConfig[*gin.Context]
	// ErrorHandler answers refusals, after their headers have been set. If it sets no
	// status and writes nothing, the default answer is written. Optional.
	ErrorHandler func(c *gin.Context, err error)
}

// Require returns a middleware that enforces a policy. It panics on an invalid one, at
// start-up.
func Require(e *echomfa.Enforcer, p echomfa.Policy) gin.HandlerFunc {
	mw, err := New(Config{GuardConfig: echomfa.GuardConfig[*gin.Context]{Enforcer: e, Policy: p}})
	if err != nil {
		panic(err)
	}
	return mw
}

// New returns the middleware of a configuration, or all that is wrong with it.
func New(cfg Config) (gin.HandlerFunc, error) {
	guard, err := echomfa.NewGuard(cfg.GuardConfig)
	if err != nil {
		return nil, err
	}
	m := &mount{guard: guard, handle: cfg.ErrorHandler}
	return m.serve, nil
}

type mount struct {
	guard  *echomfa.Guard[*gin.Context]
	handle func(c *gin.Context, err error)
}

func (m *mount) serve(c *gin.Context) {
	allowed := false
	defer func() {
		if !allowed {
			c.Abort() // gin would call the next handler, also after a panic that a middleware recovers
		}
	}()
	d, err := m.guard.Check(c, c.Request, c.FullPath())
	if err != nil {
		m.refuse(c, err)
		return
	}
	c.Request, allowed = m.guard.WithDecision(c.Request, &d), true
}

// refuse answers a refusal, unless an earlier middleware has begun an answer. gin
// writes a status late: what has been set counts as written.
func (m *mount) refuse(c *gin.Context, refusal error) {
	if c.Writer.Written() {
		_ = c.Error(refusal)
		return
	}
	var handle func(error) error
	if m.handle != nil {
		handle = func(err error) error {
			m.handle(c, err)
			return nil
		}
	}
	before := c.Writer.Status()
	written := func() bool { return c.Writer.Written() || c.Writer.Status() != before }
	_ = m.guard.RefuseBy(c.Writer, c.Request, refusal, written, handle) // handle returns no error
	c.Writer.WriteHeaderNow()
}
