// Requests about no party: safety numbers, retry messages and the helpers. Bytes are standard base64 with padding.

import {
  Aes256GcmSiv,
  DecryptionErrorMessage,
  Fingerprint,
  PlaintextContent,
  PrivateKey,
  PublicKey,
  ScannableFingerprint,
  SessionRecord,
  hkdf,
} from '@signalapp/libsignal-client';
import { toBytes, toText } from './party.mjs';

/** What a request to send again says. */
const fields = (message) => ({
  serialized: toText(message.serialize()),
  timestamp: message.timestamp(),
  deviceId: message.deviceId(),
  ratchetKey: message.ratchetKey() ? toText(message.ratchetKey().serialize()) : null,
});

export const helpers = {
  fingerprint: ({ iterations, version, localId, localKey, remoteId, remoteKey }) => {
    const fingerprint = Fingerprint.new(
      iterations,
      version,
      toBytes(localId),
      PublicKey.deserialize(toBytes(localKey)),
      toBytes(remoteId),
      PublicKey.deserialize(toBytes(remoteKey)),
    );
    return {
      displayable: fingerprint.displayableFingerprint().toString(),
      scannable: toText(fingerprint.scannableFingerprint().toBuffer()),
    };
  },
  compare_fingerprints: ({ own, theirs }) =>
    ScannableFingerprint._fromBuffer(toBytes(own)).compare(ScannableFingerprint._fromBuffer(toBytes(theirs))),

  decryption_error: ({ original, type, timestamp, deviceId }) =>
    fields(DecryptionErrorMessage.forOriginal(toBytes(original), type, timestamp, deviceId)),
  plaintext_content: ({ decryptionError }) => {
    const message = DecryptionErrorMessage.deserialize(toBytes(decryptionError));
    const sent = PlaintextContent.from(message).asCiphertextMessage();
    return { type: sent.type(), body: toText(sent.serialize()) };
  },
  read_plaintext_content: ({ body }) => {
    const content = PlaintextContent.deserialize(toBytes(body));
    return fields(DecryptionErrorMessage.extractFromSerializedBody(content.body()));
  },
  current_ratchet_key_matches: ({ record, key }) =>
    SessionRecord.deserialize(toBytes(record)).currentRatchetKeyMatches(PublicKey.deserialize(toBytes(key))),

  hkdf: ({ length, input, info, salt }) =>
    toText(hkdf(length, toBytes(input), toBytes(info), salt === null ? null : toBytes(salt))),
  gcm_siv_encrypt: ({ key, plaintext, nonce, associatedData }) =>
    toText(Aes256GcmSiv.new(toBytes(key)).encrypt(toBytes(plaintext), toBytes(nonce), toBytes(associatedData))),
  gcm_siv_decrypt: ({ key, ciphertext, nonce, associatedData }) =>
    toText(Aes256GcmSiv.new(toBytes(key)).decrypt(toBytes(ciphertext), toBytes(nonce), toBytes(associatedData))),
  hpke_seal: ({ publicKey, plaintext, info, associatedData }) =>
    toText(
      PublicKey.deserialize(toBytes(publicKey)).seal(toBytes(plaintext), toBytes(info), toBytes(associatedData)),
    ),
  hpke_open: ({ privateKey, sealed, info, associatedData }) =>
    toText(PrivateKey.deserialize(toBytes(privateKey)).open(toBytes(sealed), toBytes(info), toBytes(associatedData))),
};
