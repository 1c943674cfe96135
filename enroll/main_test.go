package enroll_test

import (
	"testing"

	"github.com/echomfa/echomfa/internal/answertest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	answertest.RegisterUpdate()
	goleak.VerifyTestMain(m)
}
