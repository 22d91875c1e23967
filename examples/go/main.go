// Searches a catalogue, recommends to a customer who acted on what was found, and records that the first was viewed.
//
//	mmrec-example HOST:PORT WORDS
//
// The environment may have MMREC_TOKEN (the server's token or API key) and MMREC_TLS_CA (a PEM file; implies TLS).
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"example.com/mmrec-example/mmrecv1"
)

//go:generate sh generate.sh

const timeout = 10 * time.Second

// Only calls that no server has answered are tried again (CANCELLED is how gRPC ends those that reach a server in the
// moment in which it closes); with backoff, and not when too much fails.
const serviceConfig = `{
  "methodConfig": [{
    "name": [{"service": "mmrec.v1.RecommendationService"}, {"service": "mmrec.v1.UnderstandingService"}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "2s",
      "backoffMultiplier": 3,
      "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
    }
  }],
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
}`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: mmrec-example HOST:PORT WORDS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		failed := status.Convert(err)
		fmt.Fprintf(os.Stderr, "%s: %s\n", failed.Code(), failed.Message())
		os.Exit(1)
	}
}

func run(target, words string) error {
	connection, err := connect(target, os.Getenv("MMREC_TLS_CA"))
	if err != nil {
		return err
	}
	defer connection.Close()
	understanding := mmrecv1.NewUnderstandingServiceClient(connection)
	recommendation := mmrecv1.NewRecommendationServiceClient(connection)

	ctx, cancel := call()
	defer cancel()
	found, err := understanding.SearchItems(ctx, &mmrecv1.SearchItemsRequest{Text: words, K: 3})
	if err != nil {
		return err
	}
	history := ids(found.Items)
	fmt.Printf("found: %s\n", strings.Join(history, ", "))

	ctx, cancel = call()
	defer cancel()
	reply, err := recommendation.Recommend(ctx, &mmrecv1.RecommendRequest{History: history, K: 5})
	if err != nil {
		return err
	}
	recommended := ids(reply.Items)
	fmt.Printf("recommended: %s\n", strings.Join(recommended, ", "))
	if len(recommended) == 0 {
		return nil
	}

	ctx, cancel = call()
	defer cancel()
	recorded, err := recommendation.RecordEvents(ctx, &mmrecv1.RecordEventsRequest{Events: []*mmrecv1.UserEvent{{
		UserId:           "ada",
		ItemId:           recommended[0],
		EventType:        "view",
		RecommendationId: reply.RecommendationId,
	}}})
	if err != nil {
		return err
	}
	if refused := recorded.Results[0].Status; refused != nil {
		fmt.Printf("recorded: a view of %s was refused: %s\n", recommended[0], refused.Message)
		return nil
	}
	fmt.Printf("recorded: a view of %s\n", recommended[0])
	return nil
}

// connect makes a connection, which is opened by the first call and may be shared.
func connect(target, ca string) (*grpc.ClientConn, error) {
	security := grpc.WithInsecure()
	if ca != "" {
		authority, err := credentials.NewClientTLSFromFile(ca, "")
		if err != nil {
			return nil, err
		}
		security = grpc.WithTransportCredentials(authority)
	}
	return grpc.Dial(target, security, grpc.WithDefaultServiceConfig(serviceConfig))
}

// call is the context of one call: its deadline, and the key.
func call() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	if token := os.Getenv("MMREC_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return ctx, cancel
}

func ids(items []*mmrecv1.ScoredItem) []string {
	found := make([]string, 0, len(items))
	for _, scored := range items {
		found = append(found, scored.Item.ItemId)
	}
	return found
}
