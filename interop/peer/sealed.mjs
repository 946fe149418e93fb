// Sealed sender: certificates, sealing and opening, and the server's part. As in `party.mjs`, everything is plain JSON.

import {
  PrivateKey,
  PublicKey,
  SenderCertificate,
  ServerCertificate,
  ServiceId,
  UnidentifiedSenderMessageContent,
  groupEncrypt,
  sealedSenderDecryptMessage,
  sealedSenderDecryptToUsmc,
  sealedSenderEncrypt,
  sealedSenderMultiRecipientEncrypt,
  sealedSenderMultiRecipientMessageForSingleRecipient,
  signalEncrypt,
} from '@signalapp/libsignal-client';
import sent from '@signalapp/libsignal-client/dist/SealedSenderMultiRecipientMessage.js';
import { toAddress, toBytes, toText } from './party.mjs';

const SentMessage = sent.default ?? sent;
const publicKey = (text) => PublicKey.deserialize(toBytes(text));
const privateKey = (text) => PrivateKey.deserialize(toBytes(text));
const optionalBytes = (text) => (text ? toBytes(text) : null);
const optionalText = (bytes) => (bytes ? toText(bytes) : null);

/** Requests about no party. */
export const sealedGeneral = {
  issue_server_certificate: ({ keyId, key, root }) =>
    toText(ServerCertificate.new(keyId, publicKey(key), privateKey(root)).serialize()),

  issue_sender_certificate: ({ server, serverKey, address, e164, key, expiration }) =>
    toText(
      SenderCertificate.new(
        address.name,
        e164,
        address.device,
        publicKey(key),
        expiration,
        ServerCertificate.deserialize(toBytes(server)),
        privateKey(serverKey),
      ).serialize(),
    ),

  is_certificate_valid: ({ certificate, roots, now }) =>
    SenderCertificate.deserialize(toBytes(certificate)).validateWithTrustRoots(roots.map(publicKey), now),

  cut_sealed: ({ body }) => {
    const message = new SentMessage(toBytes(body));
    const recipients = Object.entries(message.recipientsByServiceIdString());
    return {
      recipients: recipients.map(([serviceId, recipient]) => ({
        serviceId,
        devices: [...recipient.deviceIds],
        registrationIds: [...recipient.registrationIds],
        body: toText(message.messageForRecipient(recipient)),
      })),
      excluded: [...message.excludedRecipientServiceIdStrings()],
    };
  },

  cut_sealed_for_single: ({ body }) =>
    toText(sealedSenderMultiRecipientMessageForSingleRecipient(toBytes(body))),
};

const contentOf = (message, { certificate, hint, groupId }) =>
  UnidentifiedSenderMessageContent.new(
    message,
    SenderCertificate.deserialize(toBytes(certificate)),
    hint,
    optionalBytes(groupId),
  );

/** Requests to a party, which is given first. */
export const sealedOfParty = {
  /** Encrypts for `remote` and seals in version 1. */
  async seal(party, { remote, plaintext, now, ...around }) {
    const to = toAddress(remote);
    const { address, sessions, identities } = party;
    const message = await signalEncrypt(toBytes(plaintext), to, address, sessions, identities, new Date(now));
    return toText(await sealedSenderEncrypt(contentOf(message, around), to, identities));
  },

  /** Encrypts for a group and seals in version 2. */
  async seal_for_many(party, { group, plaintext, recipients, excluded, ...around }) {
    const message = await groupEncrypt(party.address, group, party.senderKeys, toBytes(plaintext));
    return toText(
      await sealedSenderMultiRecipientEncrypt({
        content: contentOf(message, around),
        recipients: recipients.map(toAddress),
        excludedRecipients: excluded.map((id) => ServiceId.parseFromServiceIdString(id)),
        identityStore: party.identities,
        sessionStore: party.sessions,
      }),
    );
  },

  async open_sealed(party, { body }) {
    const content = await sealedSenderDecryptToUsmc(toBytes(body), party.identities);
    return {
      type: content.msgType(),
      contents: toText(content.contents()),
      certificate: toText(content.senderCertificate().serialize()),
      hint: content.contentHint(),
      groupId: optionalText(content.groupId()),
    };
  },

  async unseal(party, { body, root, now, e164 }) {
    const result = await sealedSenderDecryptMessage(
      toBytes(body),
      publicKey(root),
      now,
      e164,
      party.address.name(),
      party.address.deviceId(),
      party.sessions,
      party.identities,
      party.preKeys,
      party.signedPreKeys,
      party.kyberPreKeys,
    );
    return {
      plaintext: toText(result.message()),
      sender: { name: result.senderUuid(), device: result.deviceId() },
      e164: result.senderE164(),
    };
  },
};
