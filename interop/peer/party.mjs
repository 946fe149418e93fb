// One party: an address, its stores, and what it can be asked to do. Every method takes and returns plain JSON;
// bytes are standard base64 with padding, times are milliseconds since 1970.

import { randomInt } from 'node:crypto';
import {
  CiphertextMessageType,
  IdentityKeyPair,
  KEMKeyPair,
  KEMPublicKey,
  KyberPreKeyRecord,
  PreKeyBundle,
  PreKeyRecord,
  PreKeySignalMessage,
  PrivateKey,
  ProtocolAddress,
  PublicKey,
  SessionRecord,
  SignalMessage,
  SignedPreKeyRecord,
  processPreKeyBundle,
  signalDecrypt,
  signalDecryptPreKey,
  signalEncrypt,
} from '@signalapp/libsignal-client';
import { Identities, KyberPreKeys, PreKeys, SenderKeys, Sessions, SignedPreKeys, keyOf } from './stores.mjs';

export const toText = (bytes) => Buffer.from(bytes).toString('base64');
export const toBytes = (text) => new Uint8Array(Buffer.from(text, 'base64'));
export const toAddress = ({ name, device }) => ProtocolAddress.new(name, device);
const fromAddress = (address) => ({ name: address.name(), device: address.deviceId() });

export class Party {
  sessions = new Sessions();
  preKeys = new PreKeys();
  signedPreKeys = new SignedPreKeys();
  kyberPreKeys = new KyberPreKeys();
  senderKeys = new SenderKeys();

  /** A new party with a given or a fresh identity, without any pre-keys. */
  constructor({ address, registrationId, identityKeyPair }) {
    this.address = toAddress(address);
    const pair = identityKeyPair
      ? IdentityKeyPair.deserialize(toBytes(identityKeyPair))
      : IdentityKeyPair.generate();
    this.identities = new Identities(pair, registrationId);
  }

  /** The party that `state()` described, in another process or another implementation. */
  static async restore(state) {
    const party = new Party(state);
    for (const { remote, record } of state.sessions) party.setSession({ remote, record });
    for (const { remote, key } of state.identities) party.trust({ remote, key });
    for (const record of state.preKeys) {
      const key = PreKeyRecord.deserialize(toBytes(record));
      party.preKeys.records.set(key.id(), key);
    }
    for (const record of state.signedPreKeys) {
      const key = SignedPreKeyRecord.deserialize(toBytes(record));
      party.signedPreKeys.records.set(key.id(), key);
    }
    for (const { record, lastResort } of state.kyberPreKeys) {
      const key = KyberPreKeyRecord.deserialize(toBytes(record));
      party.kyberPreKeys.records.set(key.id(), key);
      if (lastResort) party.kyberPreKeys.lastResort.add(key.id());
    }
    for (const { kyberId, signedId, baseKey } of state.kyberUses) {
      await party.kyberPreKeys.markKyberPreKeyUsed(kyberId, signedId, PublicKey.deserialize(toBytes(baseKey)));
    }
    return party;
  }

  /** Everything the party has, one-to-one: what another implementation needs to go on in its place. */
  state() {
    const { identities, kyberPreKeys } = this;
    const records = (store) => [...store.records.values()].map((record) => toText(record.serialize()));
    return {
      address: fromAddress(this.address),
      registrationId: identities.registrationId,
      identityKeyPair: toText(identities.pair.serialize()),
      sessions: [...this.sessions.records.values()].map(({ address, bytes }) => ({
        remote: fromAddress(address),
        record: toText(bytes),
      })),
      identities: [...identities.known.values()].map(({ address, key }) => ({
        remote: fromAddress(address),
        key: toText(key.serialize()),
      })),
      preKeys: records(this.preKeys),
      signedPreKeys: records(this.signedPreKeys),
      kyberPreKeys: [...kyberPreKeys.records.entries()].map(([id, record]) => ({
        record: toText(record.serialize()),
        lastResort: kyberPreKeys.lastResort.has(id),
      })),
      kyberUses: [...kyberPreKeys.uses.values()].map(({ kyberId, signedId, baseKey }) => ({
        kyberId,
        signedId,
        baseKey: toText(baseKey),
      })),
    };
  }

  /**
   * A bundle to hand out. `oneTimePreKey`: with a fresh one-time pre-key. `lastResort`: with the last-resort Kyber
   * pre-key (made when there is none yet) in place of a fresh one-time one. `rotate`: with a fresh signed pre-key even
   * if there is one.
   */
  makeBundle({ oneTimePreKey, lastResort, rotate, now }) {
    const identity = this.identities.pair;
    const preKey = oneTimePreKey ? this.#newPreKey() : null;
    const signed = (!rotate && newest(this.signedPreKeys)) || this.#newSignedPreKey(now);
    const kyber = (lastResort && this.#lastResortKey()) || this.#newKyberPreKey(now, lastResort);
    return {
      registrationId: this.identities.registrationId,
      device: this.address.deviceId(),
      identityKey: toText(identity.publicKey.serialize()),
      preKey: preKey && { id: preKey.id(), publicKey: toText(preKey.publicKey().serialize()) },
      signedPreKey: publicPart(signed),
      kyberPreKey: publicPart(kyber),
    };
  }

  /** Starts a session from the bundle of `remote`. */
  async processBundle({ remote, bundle, now }) {
    const { preKey, signedPreKey, kyberPreKey } = bundle;
    const parsed = PreKeyBundle.new(
      bundle.registrationId,
      bundle.device,
      preKey?.id ?? null,
      preKey ? PublicKey.deserialize(toBytes(preKey.publicKey)) : null,
      signedPreKey.id,
      PublicKey.deserialize(toBytes(signedPreKey.publicKey)),
      toBytes(signedPreKey.signature),
      PublicKey.deserialize(toBytes(bundle.identityKey)),
      kyberPreKey.id,
      KEMPublicKey.deserialize(toBytes(kyberPreKey.publicKey)),
      toBytes(kyberPreKey.signature),
    );
    await processPreKeyBundle(
      parsed,
      toAddress(remote),
      this.address,
      this.sessions,
      this.identities,
      new Date(now),
    );
  }

  /** Encrypts for `remote`; answers the message type and bytes. */
  async encrypt({ remote, plaintext, now }) {
    const message = await signalEncrypt(
      toBytes(plaintext),
      toAddress(remote),
      this.address,
      this.sessions,
      this.identities,
      new Date(now),
    );
    return { type: message.type(), body: toText(message.serialize()) };
  }

  /** Decrypts a message of type 2 or 3 from `remote`. */
  async decrypt({ remote, type, body }) {
    const from = toAddress(remote);
    const bytes = toBytes(body);
    switch (type) {
      case CiphertextMessageType.Whisper:
        return toText(
          await signalDecrypt(
            SignalMessage.deserialize(bytes),
            from,
            this.address,
            this.sessions,
            this.identities,
          ),
        );
      case CiphertextMessageType.PreKey:
        return toText(
          await signalDecryptPreKey(
            PreKeySignalMessage.deserialize(bytes),
            from,
            this.address,
            this.sessions,
            this.identities,
            this.preKeys,
            this.signedPreKeys,
            this.kyberPreKeys,
          ),
        );
      default:
        throw new Error(`message type ${type} is not one-to-one`);
    }
  }

  /** Whether the current session with `remote` can be used for sending. */
  async hasUsableSenderChain({ remote, now }) {
    const record = await this.sessions.getSession(toAddress(remote));
    return record?.hasCurrentState(new Date(now)) ?? false;
  }

  /** The serialised session record with `remote`, or null. */
  session({ remote }) {
    const found = this.sessions.records.get(keyOf(toAddress(remote)));
    return found ? toText(found.bytes) : null;
  }

  /** Puts a serialised session record in place; the client must be able to read it, and its own bytes of it are kept. */
  setSession({ remote, record }) {
    const address = toAddress(remote);
    const bytes = SessionRecord.deserialize(toBytes(record)).serialize();
    this.sessions.records.set(keyOf(address), { address, bytes });
  }

  /** Puts the current session with `remote` aside. */
  async archiveSession({ remote }) {
    const address = toAddress(remote);
    const record = await this.sessions.getSession(address);
    if (!record) throw new Error(`no session with ${address}`);
    record.archiveCurrentState();
    await this.sessions.saveSession(address, record);
  }

  /** Forgets the session record with `remote`; answers whether there was one. */
  deleteSession({ remote }) {
    return this.sessions.records.delete(keyOf(toAddress(remote)));
  }

  /** Accepts an identity key for `remote`, in place of one accepted before. */
  trust({ remote, key }) {
    const address = toAddress(remote);
    this.identities.known.set(keyOf(address), { address, key: PublicKey.deserialize(toBytes(key)) });
  }

  #newPreKey() {
    const secret = PrivateKey.generate();
    const record = PreKeyRecord.new(freshId(this.preKeys), secret.getPublicKey(), secret);
    this.preKeys.records.set(record.id(), record);
    return record;
  }

  #newSignedPreKey(now) {
    const secret = PrivateKey.generate();
    const point = secret.getPublicKey();
    const signature = this.identities.pair.privateKey.sign(point.serialize());
    const record = SignedPreKeyRecord.new(freshId(this.signedPreKeys), now, point, secret, signature);
    this.signedPreKeys.records.set(record.id(), record);
    return record;
  }

  #newKyberPreKey(now, lastResort) {
    const pair = KEMKeyPair.generate();
    const signature = this.identities.pair.privateKey.sign(pair.getPublicKey().serialize());
    const record = KyberPreKeyRecord.new(freshId(this.kyberPreKeys), now, pair, signature);
    this.kyberPreKeys.records.set(record.id(), record);
    if (lastResort) this.kyberPreKeys.lastResort.add(record.id());
    return record;
  }

  #lastResortKey() {
    const [id] = this.kyberPreKeys.lastResort;
    return this.kyberPreKeys.records.get(id);
  }
}

/** A random id of 24 bits: ids of used-up keys may stand in bundles still under way, so none is given twice. */
function freshId(store) {
  const id = randomInt(1, 1 << 24);
  return store.records.has(id) ? freshId(store) : id;
}

const newest = (store) => [...store.records.values()].at(-1);

const publicPart = (record) => ({
  id: record.id(),
  publicKey: toText(record.publicKey().serialize()),
  signature: toText(record.signature()),
});
