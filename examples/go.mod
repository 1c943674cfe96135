module github.com/echomfa/echomfa/examples

go 1.25.0

require (
	github.com/echomfa/echomfa v0.1.0
	github.com/echomfa/echomfa/echov5 v0.1.0
	github.com/echomfa/echomfa/enroll v0.1.0
	github.com/echomfa/echomfa/redisstore v0.1.0
	github.com/echomfa/echomfa/rules v0.1.0
	github.com/labstack/echo/v4 v4.16.0
	github.com/labstack/echo/v5 v5.4.4
	github.com/redis/rueidis v1.0.79
	github.com/stretchr/testify v1.12.1
	golang.org/x/text v0.41.0
)

require (
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect
	github.com/labstack/gommon v0.5.0 // indirect
	github.com/mattn/go-colorable v0.1.15 // indirect
	github.com/mattn/go-isatty v0.0.22 // indirect
	github.com/nyaruka/phonenumbers v1.8.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasttemplate v1.2.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/crypto v0.54.0 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/time v0.15.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
	rsc.io/qr v0.2.0 // indirect
)

replace github.com/echomfa/echomfa => ../

replace github.com/echomfa/echomfa/echov5 => ../echov5

replace github.com/echomfa/echomfa/enroll => ../enroll

replace github.com/echomfa/echomfa/redisstore => ../redisstore

replace github.com/echomfa/echomfa/rules => ../rules
