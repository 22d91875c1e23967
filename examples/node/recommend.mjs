// Searches a catalogue, recommends to a customer who acted on what was found, and records that the first was viewed.
//
//     node recommend.mjs HOST:PORT WORDS
//
// The environment may have MMREC_TOKEN (the server's token or API key) and MMREC_TLS_CA (a PEM file; implies TLS).

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const here = dirname(fileURLToPath(import.meta.url));
// Only calls that no server has answered are tried again (CANCELLED is how gRPC ends those that reach a server in the
// moment in which it closes); with backoff, and not when too much fails.
const serviceConfig = {
  methodConfig: [
    {
      name: [{ service: "mmrec.v1.RecommendationService" }, { service: "mmrec.v1.UnderstandingService" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "2s",
        backoffMultiplier: 3,
        retryableStatusCodes: ["UNAVAILABLE", "CANCELLED"],
      },
    },
  ],
  retryThrottling: { maxTokens: 10, tokenRatio: 0.1 },
};

/** The clients of a server's services, each call of which returns a promise and has a deadline. */
function connect(target, { token, ca, timeoutMs = 10_000 }) {
  const definition = protoLoader.loadSync(
    ["mmrec/v1/recommendation.proto", "mmrec/v1/understanding.proto"],
    { includeDirs: [join(here, "../../protos"), join(here, "../protos")], keepCase: true, enums: String, longs: String },
  );
  const { RecommendationService, UnderstandingService } = grpc.loadPackageDefinition(definition).mmrec.v1;
  const credentials = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
  const options = { "grpc.service_config": JSON.stringify(serviceConfig) };
  const metadata = new grpc.Metadata();
  if (token) metadata.set("authorization", `Bearer ${token}`);

  const services = [RecommendationService, UnderstandingService].map((Service) => new Service(target, credentials, options));
  const call = (service, method) => {
    const send = promisify(service[method].bind(service));
    return (request) => send(request, metadata, { deadline: Date.now() + timeoutMs });
  };
  const [recommendation, understanding] = services;
  return {
    recommend: call(recommendation, "Recommend"),
    recordEvents: call(recommendation, "RecordEvents"),
    search: call(understanding, "SearchItems"),
    close: () => services.forEach((service) => service.close()),
  };
}

const [target, words] = process.argv.slice(2);
if (!target || !words) {
  console.error("usage: node recommend.mjs HOST:PORT WORDS");
  process.exit(2);
}
const client = connect(target, { token: process.env.MMREC_TOKEN, ca: process.env.MMREC_TLS_CA });
try {
  const found = await client.search({ text: words, k: 3 });
  const history = found.items.map(({ item }) => item.item_id);
  console.log(`found: ${history.join(", ")}`);

  const reply = await client.recommend({ history, k: 5 });
  console.log(`recommended: ${reply.items.map(({ item }) => item.item_id).join(", ")}`);

  const viewed = reply.items[0].item.item_id;
  const recorded = await client.recordEvents({
    events: [{ user_id: "ada", item_id: viewed, event_type: "view", recommendation_id: reply.recommendation_id }],
  });
  console.log(`recorded: a view of ${viewed}${recorded.results[0].status ? " was refused" : ""}`);
} catch (error) {
  console.error(`${grpc.status[error.code] ?? "error"}: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
