// The official libsignal client as a test peer. Requests arrive on stdin and answers leave on stdout, one JSON object a
// line, in the order of the requests:
//
//   {"id": 1, "op": "encrypt", "party": "alice", ...}  ->  {"id": 1, "ok": ...}
//                                                      or  {"id": 1, "error": {"kind", "code", "message"}}
//
// Error kinds: "client" (the official client refused; `code` is the name of its error code) and "request" (the request
// makes no sense; `code` is null). Bytes are standard base64 with padding, times milliseconds since 1970. One process
// holds any number of parties, each under the name in "party". The process ends with "shutdown" or with its stdin.

import { readFileSync } from 'node:fs';
import { ErrorCode, LibSignalErrorBase, PrivateKey, PublicKey } from '@signalapp/libsignal-client';
import { ofGroups } from './groups.mjs';
import { helpers } from './helpers.mjs';
import { Party, toBytes, toText } from './party.mjs';
import { sealedGeneral, sealedOfParty } from './sealed.mjs';

const parties = new Map();

/** Requests that are about no party, or about whether there is one. */
const general = {
  hello: () => ({ client: clientVersion(), node: process.versions.node }),
  create: ({ party, ...rest }) => admit(party, new Party(rest)),
  restore: async ({ party, state }) => admit(party, await Party.restore(state)),
  dismiss: ({ party }) => parties.delete(party),
  generate_key_pair: () => {
    const secret = PrivateKey.generate();
    return { privateKey: toText(secret.serialize()), publicKey: toText(secret.getPublicKey().serialize()) };
  },
  sign: ({ privateKey, message }) =>
    toText(PrivateKey.deserialize(toBytes(privateKey)).sign(toBytes(message))),
  verify: ({ publicKey, message, signature }) =>
    PublicKey.deserialize(toBytes(publicKey)).verify(toBytes(message), toBytes(signature)),
  agree: ({ privateKey, publicKey }) =>
    toText(PrivateKey.deserialize(toBytes(privateKey)).agree(PublicKey.deserialize(toBytes(publicKey)))),
  ...helpers,
  ...sealedGeneral,
};

/** Requests to a party, and the method of `Party` that answers. */
const ofParty = {
  state: 'state',
  make_bundle: 'makeBundle',
  process_bundle: 'processBundle',
  encrypt: 'encrypt',
  decrypt: 'decrypt',
  has_usable_sender_chain: 'hasUsableSenderChain',
  session: 'session',
  set_session: 'setSession',
  archive_session: 'archiveSession',
  delete_session: 'deleteSession',
  trust: 'trust',
};

/** Requests to a party that are answered by functions, which take it first. */
const ofOthers = { ...ofGroups, ...sealedOfParty };

class BadRequest extends Error {}

function admit(name, party) {
  if (parties.has(name)) throw new BadRequest(`there is a party ${name} already`);
  parties.set(name, party);
}

async function answer(request) {
  const { op } = request;
  if (Object.hasOwn(general, op)) return general[op](request);
  const steps = Object.hasOwn(ofOthers, op) ? ofOthers : ofParty;
  if (!Object.hasOwn(steps, op)) throw new BadRequest(`no such op: ${op}`);
  const party = parties.get(request.party);
  if (!party) throw new BadRequest(`no such party: ${request.party}`);
  return steps === ofOthers ? ofOthers[op](party, request) : party[ofParty[op]](request);
}

function describe(error) {
  const { message } = error;
  if (error instanceof LibSignalErrorBase) return { kind: 'client', code: ErrorCode[error.code], message };
  return { kind: 'request', code: null, message };
}

function clientVersion() {
  const manifest = new URL('node_modules/@signalapp/libsignal-client/package.json', import.meta.url);
  return JSON.parse(readFileSync(manifest, 'utf8')).version;
}

async function* lines(stream) {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop();
    yield* parts;
  }
}

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

for await (const line of lines(process.stdin)) {
  const request = JSON.parse(line);
  const { id } = request;
  if (request.op === 'shutdown') {
    say({ id, ok: null });
    break;
  }
  try {
    say({ id, ok: (await answer(request)) ?? null });
  } catch (error) {
    say({ id, error: describe(error) });
  }
}
process.stdin.destroy();
