package client_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// TestUserID asks whose a token is.
func TestUserID(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		change func(*genauthtest.Answer)
		want   error
	}{
		"good":          {nil, nil},
		"no user id":    {genauthtest.Data(`{"username":"bob"}`), client.ErrMalformed},
		"empty":         {genauthtest.Data(`{"userId":""}`), client.ErrMalformed},
		"a number":      {genauthtest.Data(`{"userId":1}`), client.ErrMalformed},
		"a list":        {genauthtest.Data(`[{"userId":"bob"}]`), client.ErrMalformed},
		"no data":       {genauthtest.Data(""), client.ErrMalformed},
		"refused":       {genauthtest.Envelope(401, 2020), client.ErrUnauthenticated},
		"does not work": {genauthtest.HTTPStatus(500, ""), client.ErrUnavailable},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := genauthtest.Start(t, genauthtest.Config{})
			id := server.AddUser(genauthtest.User{ID: "bob"}).ID
			c, err := client.New(client.Config{BaseURL: server.URL(), AppID: server.AppID()})
			require.NoError(t, err)
			t.Cleanup(c.CloseIdleConnections)
			if row.change != nil {
				server.SetFault(genauthtest.Fault{Path: "/api/v3/get-profile", Change: row.change})
			}
			for _, opaque := range []bool{false, true} {
				got, err := c.UserID(t.Context(), server.Mint(genauthtest.Token{UserID: id, Opaque: opaque}))
				require.ErrorIs(t, err, row.want)
				assert.Equal(t, row.want == nil, got == "bob")
			}
		})
	}
	c, err := client.New(client.Config{BaseURL: "https://genauth.example", AppID: "app"})
	require.NoError(t, err)
	_, err = c.UserID(t.Context(), "")
	require.Error(t, err, "no token")
}
