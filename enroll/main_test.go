package enroll_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/internal/answertest"
)

func TestMain(m *testing.M) {
	answertest.RegisterUpdate()
	goleak.VerifyTestMain(m)
}
