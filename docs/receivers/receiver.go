// A receiver in Go, with the standard library alone: `WEBHOOK_SECRET=whsec_… go run receiver.go 8080`.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

var secret = os.Getenv("WEBHOOK_SECRET")
var seen sync.Map // in earnest a table with a unique column

// The signature is the last member, so the body ends in 87 bytes that are made of all before them.
func isSigned(body []byte) bool {
	if len(body) <= 87 {
		return false
	}
	content, tail := body[:len(body)-87], body[len(body)-87:]
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(content)
	mac.Write([]byte("}"))
	expected := `,"signature":"sha256=` + hex.EncodeToString(mac.Sum(nil)) + `"}`
	return hmac.Equal(tail, []byte(expected))
}

func receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !isSigned(body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if _, twice := seen.LoadOrStore(r.Header.Get("webhook-id"), true); !twice { // the same message may come twice
		var message struct {
			Event string
			Data  struct{ ID int64 }
		}
		if json.Unmarshal(body, &message) == nil {
			fmt.Println(message.Event, message.Data.ID)
		}
	}
	w.WriteHeader(http.StatusNoContent) // quickly: what takes long is better queued
}

func main() {
	if !strings.HasPrefix(secret, "whsec_") {
		panic("WEBHOOK_SECRET is not set: without it anybody could sign.")
	}
	http.HandleFunc("/", receive)
	if err := http.ListenAndServe("127.0.0.1:"+os.Args[1], nil); err != nil {
		panic(err)
	}
}
