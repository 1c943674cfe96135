package enroll

import (
	"regexp"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// phoneDigits are the digits of a whole number, with what may stand before them: E.164 has
// fifteen, an international prefix up to five. What else there may be in a number, such as
// letters and an extension, gets no text message.
var phoneDigits = regexp.MustCompile(`^\+?[0-9]{4,20}$`)

// readPhone reads a number as people type it, with the country code or without, and
// returns its region and its digits without the country code and without the digit that
// is dialed before them inside of the country. The region that was selected is what a
// number without a country code is of. Which digit that is and where it stays (in Italy),
// is in the tables of libphonenumber; that a number is in use is GenAuth's to say, since
// the tables are older than some numbers.
func readPhone(selected, typed string) (region, number string, ok bool) {
	typed = strings.Replace(digits(typed), "\uff0b", "+", 1)
	if callingCode(selected) == "" || !phoneDigits.MatchString(typed) {
		return "", "", false
	}
	read := possible(typed, selected)
	if read == nil { // from where one dials another prefix than 00
		if rest, international := strings.CutPrefix(typed, "00"); international {
			read = possible("+"+rest, selected)
		}
	}
	if read == nil {
		return "", "", false
	}
	region = regionOf(read, selected)
	return region, phonenumbers.GetNationalSignificantNumber(read), region != ""
}

// possible returns a number of a possible length, or nil.
func possible(typed, region string) *phonenumbers.PhoneNumber {
	read, err := phonenumbers.Parse(typed, region)
	if err != nil || !phonenumbers.IsPossibleNumber(read) {
		return nil
	}
	return read
}

// regionOf returns a region that can be selected and has the country code of a number:
// several may share one.
func regionOf(read *phonenumbers.PhoneNumber, selected string) string {
	code := phonenumbers.Format(read, phonenumbers.E164)
	code = strings.TrimSuffix(code, phonenumbers.GetNationalSignificantNumber(read))
	for _, region := range []string{
		selected, phonenumbers.GetRegionCodeForNumber(read), phonenumbers.GetRegionCodeForCountryCode(int(read.GetCountryCode())),
	} {
		if callingCode(region) == code {
			return region
		}
	}
	return ""
}
