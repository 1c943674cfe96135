package peer

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/labstack/echo/v4"
)

// ThreeFactors is an answer of list-enrolled-factors.
const ThreeFactors = `{"statusCode":200,"message":"ok","data":[` +
	`{"factorId":"6229ffaxxxxxxxxcade3e3d9","factorType":"OTP","profile":{}},` +
	`{"factorId":"6229ffaxxxxxxxxcade3e3da","factorType":"SMS","profile":{"phoneNumber":"188xxxx8888","phoneCountryCode":"+86"}},` +
	`{"factorId":"6229ffaxxxxxxxxcade3e3db","factorType":"EMAIL","profile":{"email":"test@example.com"}}],` +
	`"requestId":"934108e5-9fbf-4d24-8da1-c330328abd6c"}`

// GenAuth answers list-enrolled-factors after a delay.
type GenAuth struct {
	*httptest.Server
	// Connections counts those that were made.
	Connections atomic.Int64
}

// NewGenAuth starts one. Close ends it.
func NewGenAuth(delay time.Duration) *GenAuth {
	g := &GenAuth{}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(delay)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(ThreeFactors))
	}))
	g.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			g.Connections.Add(1)
		}
	}
	g.Start()
	return g
}

// Listers are ways to ask it.
func (g *GenAuth) Listers() map[string]echomfa.FactorLister {
	server := g.Server
	simple := &http.Client{Timeout: 2 * time.Second, Transport: defaultTransport()}
	return map[string]echomfa.FactorLister{
		"echomfa client": must(client.New(client.Config{BaseURL: server.URL, AppID: AppID})),
		"default client": echomfa.FactorListerFunc(func(ctx context.Context, token string) ([]client.Factor, error) {
			return Get(ctx, simple, server.URL, token)
		}),
		// A new client for each call, as the vendor's Go SDK does.
		"client per call": echomfa.FactorListerFunc(func(ctx context.Context, token string) ([]client.Factor, error) {
			transport := defaultTransport()
			defer transport.CloseIdleConnections()
			return Get(ctx, &http.Client{Transport: transport}, server.URL, token)
		}),
	}
}

// defaultTransport is what one gets who says nothing.
func defaultTransport() *http.Transport {
	t, _ := http.DefaultTransport.(*http.Transport)
	return t.Clone()
}

// Get asks for factors as one writes it in an afternoon.
func Get(ctx context.Context, c *http.Client, host, token string) ([]client.Factor, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/api/v3/list-enrolled-factors", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", token)
	res, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Data []struct {
			FactorID   string `json:"factorId"`
			FactorType string `json:"factorType"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	list := make([]client.Factor, 0, len(answer.Data))
	for _, row := range answer.Data {
		list = append(list, client.Factor{ID: row.FactorID, Type: client.FactorType(row.FactorType)})
	}
	return list, nil
}

// uncached is a middleware that asks for every request.
func uncached(lister string) echo.MiddlewareFunc {
	ask := NewGenAuth(0).Listers()[lister]
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			token, _ := strings.CutPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
			list, err := ask.ListEnrolledFactors(c.Request().Context(), token)
			if err != nil || len(list) == 0 {
				return echo.ErrForbidden
			}
			return next(c)
		}
	}
}

// Uncached are peers that ask GenAuth for every request: with a pool of
// connections, and with a client for each call, as the vendor's Go SDK has it.
func Uncached() []Peer {
	return []Peer{
		{Name: "no cache, pooled", New: func() echo.MiddlewareFunc { return uncached("echomfa client") }},
		{Name: "no cache, client per call", New: func() echo.MiddlewareFunc { return uncached("client per call") }},
	}
}
