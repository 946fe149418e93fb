// Groups: what a party can be asked to do with sender keys. Each takes the party and plain JSON, and gives plain JSON.

import {
  SenderKeyDistributionMessage,
  SenderKeyRecord,
  groupDecrypt,
  groupEncrypt,
  processSenderKeyDistributionMessage,
} from '@signalapp/libsignal-client';
import { toAddress, toBytes, toText } from './party.mjs';

/** Requests to a party, by their op. `group` is a distribution id. */
export const ofGroups = {
  /** The party's own sender key, made if there is none. */
  group_distribute: async ({ address, senderKeys }, { group }) =>
    toText((await SenderKeyDistributionMessage.create(address, group, senderKeys)).serialize()),

  /** Takes the sender key of `sender`. */
  group_join: ({ senderKeys }, { sender, key }) => {
    const message = SenderKeyDistributionMessage.deserialize(toBytes(key));
    return processSenderKeyDistributionMessage(toAddress(sender), message, senderKeys);
  },

  group_encrypt: async ({ address, senderKeys }, { group, plaintext }) =>
    toText((await groupEncrypt(address, group, senderKeys, toBytes(plaintext))).serialize()),

  group_decrypt: async ({ senderKeys }, { sender, body }) =>
    toText(await groupDecrypt(toAddress(sender), senderKeys, toBytes(body))),

  /** The serialised sender-key record of `sender`, or null. */
  sender_key: async ({ senderKeys }, { sender, group }) => {
    const record = await senderKeys.getSenderKey(toAddress(sender), group);
    return record && toText(record.serialize());
  },

  /** Puts a serialised record in place, or removes it (null). */
  set_sender_key: ({ senderKeys }, { sender, group, record }) => {
    const address = toAddress(sender);
    return record === null
      ? senderKeys.removeSenderKey(address, group)
      : senderKeys.saveSenderKey(address, group, SenderKeyRecord.deserialize(toBytes(record)));
  },
};
