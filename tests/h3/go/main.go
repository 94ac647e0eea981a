// An HTTP/3 client by quic-go: sends events and pixels over one connection and says how it went.
// Usage: go-client URL CA-FILE COUNT
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go/http3"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "quic-go:", err)
		os.Exit(1)
	}
}

func run(base, ca, count string) error {
	certificate, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		return fmt.Errorf("no certificate in %s", ca)
	}
	number, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.Close()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	failures := make(chan error, 2*number)
	var sending sync.WaitGroup
	for i := range number {
		sending.Go(func() { failures <- event(client, base, i) })
		sending.Go(func() { failures <- pixel(client, base) })
	}
	sending.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	fmt.Printf("quic-go: %d events and %d pixels taken\n", number, number)
	return nil
}

func event(client *http.Client, base string, i int) error {
	body := fmt.Sprintf(`{"type":"track","event":"Seen","messageId":"go-%d","properties":{"text":%q}}`, i, strings.Repeat("x", 3000))
	request, err := http.NewRequest(http.MethodPost, base+"/v1/events?writeKey=demo", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Origin", "http://localhost:8090")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	cookie := response.Header.Get("Set-Cookie")
	switch {
	case err != nil:
		return err
	case response.Proto != "HTTP/3.0":
		return fmt.Errorf("answered over %s", response.Proto)
	case response.StatusCode != http.StatusOK || !strings.Contains(string(answer), `"outcome":"accepted"`):
		return fmt.Errorf("%s: %s", response.Status, answer)
	case !strings.HasPrefix(cookie, "__Host-tg_vid=") || !strings.Contains(cookie, "; Secure"):
		return fmt.Errorf("cookie %q", cookie)
	case response.Header.Get("Access-Control-Allow-Origin") != "http://localhost:8090":
		return fmt.Errorf("no CORS: %v", response.Header)
	}
	return nil
}

func pixel(client *http.Client, base string) error {
	response, err := client.Get(base + "/v1/pixel.gif?writeKey=demo&event=Seen")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	image, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || len(image) != 43 {
		return fmt.Errorf("pixel: %s, %d bytes", response.Status, len(image))
	}
	return nil
}
