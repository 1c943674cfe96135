package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/echomfa/echomfa/client"
)

var (
	// errRefused is GenAuth's "no" to a name and password.
	errRefused = errors.New("sign-in refused")
	// errSettings is its "no" to the app id, of which no user can know.
	errSettings = errors.New("GenAuth knows no such application")
)

// passwordSignIn trades name and password for an access token at GenAuth.
func (p *portal) passwordSignIn(ctx context.Context, username, password string) (string, error) {
	body, err := json.Marshal(map[string]any{
		"connection": "PASSWORD", "client_id": p.genauth.AppID(),
		"passwordPayload": map[string]string{"username": username, "password": password},
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.genauth.BaseURL()+"/api/v3/signin", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Authing-App-Id", p.genauth.AppID())
	// A redirect would take the password to another place.
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := once.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		StatusCode int `json:"statusCode"`
		APICode    int `json:"apiCode"`
		Data       struct {
			AccessToken string `json:"access_token"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil {
		return "", err
	}
	switch {
	case res.StatusCode != http.StatusOK || answer.StatusCode >= http.StatusInternalServerError:
		return "", errors.New("GenAuth did not answer")
	case answer.APICode == 2011 || answer.APICode == 2224: // no such application, no such user pool
		return "", errSettings
	case answer.StatusCode != http.StatusOK || !client.ValidToken(answer.Data.AccessToken):
		return "", errRefused
	}
	return answer.Data.AccessToken, nil
}
