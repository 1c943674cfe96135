package enroll

import (
	"errors"
	"net/mail"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// sendEvery is how often GenAuth documents to send a code to an address.
const sendEvery = time.Minute

// maxAddressBytes is the longest address that mail can be sent to (RFC 5321,
// section 4.5.3.1.3, as its erratum 1690 counts).
const maxAddressBytes = 254

func (v *visit) addressPage(st *state) *Page {
	region := st.Region
	if region == "" {
		region = v.h.cfg.Region
	}
	return &Page{
		Name: "address", State: v.h.seal.seal(st, v.token),
		Region: region, Phone: st.Phone, Email: st.Email,
	}
}

func (v *visit) messagePage(st *state) *Page {
	return &Page{
		Name: "sent", State: v.h.seal.seal(st, v.token), Address: st.address(), SendAt: st.Begun.Add(sendEvery),
		Correct: v.stepAddress(st.ID, viewAddress),
	}
}

// address is where the code goes, as the user knows it.
func (st *state) address() string {
	if st.Type == client.SMS {
		return callingCode(st.Region) + " " + st.Phone
	}
	return st.Email
}

// send sends a code to the address that was typed, or to the same one again.
func (v *visit) send() {
	st, ok := v.state()
	if !ok || st.Done || st.Type != client.SMS && st.Type != client.Email {
		v.restart()
		return
	}
	overtaken, err := v.overtaken(st)
	switch {
	case err != nil:
		v.fail(err)
		return
	case overtaken:
		v.restart()
		return
	}
	page := &shown{View: viewCode, State: st}
	if again := st.Token != "" && !v.form.Has("phone") && !v.form.Has("email"); again {
		page.Notice = "notice.sent_again"
	} else {
		page = &shown{View: viewAddress, State: st}
		st.Token = ""
		if field, key := st.setAddress(v.form.Get("region"), v.form.Get("phone"), v.form.Get("email")); key != "" {
			v.goOn(page.wrong(field, key))
			return
		}
	}
	v.sendTo(st, page)
}

// sendTo sends a code. Page is where it was asked for.
func (v *visit) sendTo(st *state, page *shown) {
	field, refused := "phone", "error.phone_refused"
	if st.Type == client.Email {
		field, refused = "email", "error.email_refused"
	}
	if at := st.Begun.Add(sendEvery); page.View == viewCode && time.Now().Before(at) {
		v.goOn(page.waits(at))
		return
	}
	if !v.maySend() {
		page.Notice = ""
		v.goOn(page.later("", "error.too_many", v.again))
		return
	}
	begun := time.Now()
	e, err := v.h.cfg.Client.SendEnrollFactorRequest(v.r.Context(), v.token, client.EnrollRequest{
		Type: st.Type, PhoneCountryCode: callingCode(st.Region), PhoneNumber: st.Phone, Email: st.Email,
	})
	if err == nil {
		st.Begun, st.Token = begun, e.Token
		err = v.h.seal.fits(st)
	}
	switch {
	case err == nil:
		page.View = viewCode
		v.goOn(page)
	case errors.Is(err, client.ErrRateLimited), isTooSoon(err):
		v.goOn(page.waits(time.Now().Add(max(retryafter.Of(err), sendEvery))))
	case isRefusal(err):
		v.log("enroll_begin_refused", "GenAuth refused to begin an enrollment", err)
		st.Token = ""
		v.goOn((&shown{View: viewAddress, State: st}).wrong(field, refused))
	default:
		if !v.refusedToBegin(err) {
			v.fail(err)
		}
	}
}

// isTooSoon reports whether GenAuth has sent something to the address a moment ago. Its
// sign-in page knows the code 2080 for that.
func isTooSoon(err error) bool {
	e := (*client.APIError)(nil)
	return errors.As(err, &e) && e.APICode == 2080
}

// setAddress reads what the user typed into the state. It returns the field that
// is wrong and why, or "".
func (st *state) setAddress(region, phone, email string) (field, key string) {
	if st.Type == client.Email {
		st.Email = strings.TrimSpace(email)
		parsed, err := mail.ParseAddress(st.Email)
		if err != nil || parsed.Address != st.Email || len(st.Email) > maxAddressBytes {
			return "email", "error.email"
		}
		return "", ""
	}
	st.Region, st.Phone = region, phone
	if callingCode(region) == "" {
		return "region", "error.region"
	}
	read, number, ok := readPhone(region, phone)
	if !ok {
		return "phone", "error.phone"
	}
	st.Region, st.Phone = read, number
	return "", ""
}
