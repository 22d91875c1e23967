#!/bin/sh
# Generates the package mmrecv1 from the protos, into the folder that is named or into mmrecv1 here.
# Needs protoc, protoc-gen-go and protoc-gen-go-grpc.
set -eu
cd "$(dirname "$0")"
out=${1:-mmrecv1}
package=example.com/mmrec-example/mmrecv1
mkdir -p "$out"
# The protos name no package of Go, so each one is told here.
set --
for proto in ../../protos/mmrec/v1/*.proto; do
  name=mmrec/v1/$(basename "$proto")
  set -- "$@" "--go_opt=M$name=$package" "--go-grpc_opt=M$name=$package" "$name"
done
protoc -I ../../protos -I ../protos \
  --go_out="$out" --go_opt=module="$package" --go-grpc_out="$out" --go-grpc_opt=module="$package" "$@"
