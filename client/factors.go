package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
)

const (
	// maxTypeBytes is the length of the longest name that is taken for one.
	maxTypeBytes = 128
	// maxRows is far more factors than anybody has. It bounds what an answer
	// within MaxBodyBytes can cost in memory, here and in a cache.
	maxRows = 1000
)

// ListEnrolledFactors returns the MFA factors that the user of token has
// enrolled, in GenAuth's order.
//
// It calls GET /api/v3/list-enrolled-factors. GenAuth documents data as an
// array of factors; the single object that its sample shows is read as an array
// of one. The list is empty, and not nil, only if GenAuth said in a complete and
// successful answer that it is. Types are kept as they come, known or not: use
// [FactorType.Normalize] to compare them.
//
// A list of more than 1,000 rows is malformed. If rows lack an id or a type (a
// name of at most 128 bytes), the other rows come together with a
// [*PartialError]. With any other error there is no list.
func (c *Client) ListEnrolledFactors(ctx context.Context, token string) ([]Factor, error) {
	factors := []Factor{}
	err := c.list(ctx, getCall("/api/v3/list-enrolled-factors", token), func(row row) bool {
		if row.id == "" || row.factorType == "" {
			return false
		}
		factors = append(factors, row.factor())
		return true
	})
	if err != nil && !isPartial(err) {
		return nil, err
	}
	return factors, err
}

// ListFactorsToEnroll returns the factor types that the application offers and
// the user of token has not enrolled.
//
// It calls GET /api/v3/list-factors-to-enroll. The answer is read like that of
// [Client.ListEnrolledFactors], a [*PartialError] included.
func (c *Client) ListFactorsToEnroll(ctx context.Context, token string) ([]FactorType, error) {
	types := []FactorType{}
	err := c.list(ctx, getCall("/api/v3/list-factors-to-enroll", token), func(row row) bool {
		if row.factorType == "" {
			return false
		}
		types = append(types, FactorType(row.factorType))
		return true
	})
	if err != nil && !isPartial(err) {
		return nil, err
	}
	return types, err
}

// GetFactor returns one factor of the user of token. If GenAuth knows no such
// factor, the error is an [*APIError] with GenAuth's code.
//
// It calls GET /api/v3/get-factor with the query parameter factorId. GenAuth
// documents data as one factor.
func (c *Client) GetFactor(ctx context.Context, token, factorID string) (Factor, error) {
	if err := c.begin(ctx, token); err != nil {
		return Factor{}, err
	}
	if factorID == "" {
		return Factor{}, missing("factor id")
	}
	r := getCall("/api/v3/get-factor", token)
	r.query = url.Values{"factorId": {factorID}}
	r.secrets = []string{factorID, url.QueryEscape(factorID)}
	env, rep, err := c.do(ctx, r)
	if err != nil {
		return Factor{}, err
	}
	row, err := readRow(env.data)
	switch {
	case err != nil:
	case row.id == "" || row.factorType == "":
		err = errDataContent
	default:
		return row.factor(), nil
	}
	return Factor{}, c.unusable(r, rep, env, err)
}

// ResetFactor removes a factor of the user of token.
//
// It calls POST /api/v3/reset-factor with {factorId}. GenAuth documents an
// answer without data.
func (c *Client) ResetFactor(ctx context.Context, token, factorID string) error {
	if err := c.begin(ctx, token); err != nil {
		return err
	}
	if factorID == "" {
		return missing("factor id")
	}
	return c.post(ctx, "/api/v3/reset-factor", token, struct {
		FactorID string `json:"factorId"`
	}{factorID}, factorID)
}

// post makes a call of which only the success matters.
func (c *Client) post(ctx context.Context, path, token string, body any, secrets ...string) error {
	_, _, err := c.do(ctx, postCall(path, token, body, secrets...))
	return err
}

func missing(what string) error {
	return fmt.Errorf("client: no %s: %w", what, ErrMisconfigured)
}

func isPartial(err error) bool {
	var partial *PartialError
	return errors.As(err, &partial)
}

// list makes a call whose data is an array, and gives every row to add, which
// reports whether it could use the row.
func (c *Client) list(ctx context.Context, r call, add func(row) bool) error {
	if err := c.begin(ctx, r.token); err != nil {
		return err
	}
	env, rep, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	seen, skipped := 0, 0
	err = c.rows(ctx, r, env.data, func(value json.RawMessage) error {
		if seen++; seen > maxRows {
			return errTooManyRows
		}
		var next row
		if isObject(value) {
			var rowErr error
			if next, rowErr = readRow(value); rowErr != nil {
				return rowErr
			}
		}
		if !add(next) {
			skipped++
		}
		return nil
	})
	switch {
	case err != nil:
		return c.unusable(r, rep, env, err)
	case skipped > 0:
		return &PartialError{Skipped: skipped}
	}
	return nil
}

// rows calls visit for every row of data.
func (c *Client) rows(ctx context.Context, r call, data json.RawMessage, visit func(json.RawMessage) error) error {
	switch {
	case data == nil:
		return errNoData
	case isNull(data) && c.nullIsNone:
		return nil
	case isNull(data):
		return errNullData
	case isArray(data):
		return elements(data, visit)
	case isObject(data):
		c.warnOnObject.Do(func() {
			c.logger.LogAttrs(ctx, slog.LevelWarn, "client: GenAuth sent a single object for a list",
				slog.String("event", "list_was_object"), slog.String("op", r.op()))
		})
		return visit(data)
	default:
		return errDataType
	}
}

// row is one factor as GenAuth sends it. An id or type that cannot be used is
// empty.
type row struct {
	id         string
	factorType string
	profile    map[string]any
}

func (r row) factor() Factor {
	return Factor{ID: r.id, Type: FactorType(r.factorType), Profile: r.profile}
}

func readRow(value json.RawMessage) (row, error) {
	switch {
	case value == nil:
		return row{}, errNoData
	case !isObject(value):
		return row{}, errDataType
	}
	var r row
	err := members(value, func(name string, value json.RawMessage) error {
		switch name {
		case "factorId":
			r.id, _ = readString(value)
		case "factorType":
			if s, ok := readString(value); ok && len(s) <= maxTypeBytes {
				r.factorType = s
			}
		case "profile":
			// GenAuth documents the shape for telephone and e-mail only: a
			// profile of another shape must not lose the factor.
			if isObject(value) && json.Unmarshal(value, &r.profile) != nil {
				r.profile = nil
			}
		}
		return nil
	})
	return r, err
}
