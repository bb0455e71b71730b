// sse: answers every request by a stream of server-sent events, each in a write of its own, as an engine does.
// Usage: sse ADDRESS FILE; the file holds the events. HTTP/2 without TLS, and HTTP/1.1.
package main

import (
	"bytes"
	"log"
	"net/http"
	"os"
)

func main() {
	content, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	events := bytes.SplitAfter(content, []byte("\n\n"))

	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "text/event-stream")
		w.Header().Set("trailer", "x-shimmy-prompt-tokens, x-shimmy-completion-tokens")
		for _, event := range events {
			w.Write(event)
			w.(http.Flusher).Flush()
		}
		w.Header().Set("x-shimmy-prompt-tokens", "12")
		w.Header().Set("x-shimmy-completion-tokens", "100")
	}

	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Addr: os.Args[1], Handler: http.HandlerFunc(answer), Protocols: &protocols}
	log.Fatal(server.ListenAndServe())
}
