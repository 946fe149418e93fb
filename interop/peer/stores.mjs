// The six stores of the official client, kept in memory: maps that can be taken out whole and put back.

import {
  Direction,
  IdentityChange,
  IdentityKeyStore,
  KyberPreKeyStore,
  PreKeyStore,
  SenderKeyStore,
  SessionRecord,
  SessionStore,
  SignedPreKeyStore,
} from '@signalapp/libsignal-client';

/** The key under which a record of a remote address is kept. Device ids have no blanks, names may. */
export const keyOf = (address) => `${address.deviceId()} ${address.name()}`;

/** Sessions as serialised records, so that nothing is shared between two uses of one. */
export class Sessions extends SessionStore {
  records = new Map();

  async saveSession(address, record) {
    this.records.set(keyOf(address), { address, bytes: record.serialize() });
  }

  async getSession(address) {
    const found = this.records.get(keyOf(address));
    return found ? SessionRecord.deserialize(found.bytes) : null;
  }

  async getExistingSessions(addresses) {
    return addresses.map((address) => {
      const found = this.records.get(keyOf(address));
      if (!found) throw new Error(`no session with ${address}`);
      return SessionRecord.deserialize(found.bytes);
    });
  }
}

/** The own identity, and those of others: the first key seen for an address is trusted until told otherwise. */
export class Identities extends IdentityKeyStore {
  known = new Map();

  constructor(pair, registrationId) {
    super();
    this.pair = pair;
    this.registrationId = registrationId;
  }

  async getIdentityKey() {
    return this.pair.privateKey;
  }

  async getIdentityKeyPair() {
    return this.pair;
  }

  async getLocalRegistrationId() {
    return this.registrationId;
  }

  async saveIdentity(address, key) {
    const before = this.known.get(keyOf(address));
    this.known.set(keyOf(address), { address, key });
    return before && !before.key.equals(key) ? IdentityChange.ReplacedExisting : IdentityChange.NewOrUnchanged;
  }

  async isTrustedIdentity(address, key, direction) {
    if (direction !== Direction.Sending && direction !== Direction.Receiving) {
      throw new Error(`direction ${direction} is none`);
    }
    const known = this.known.get(keyOf(address));
    return !known || known.key.equals(key);
  }

  async getIdentity(address) {
    return this.known.get(keyOf(address))?.key ?? null;
  }
}

/** One-time pre-keys. */
export class PreKeys extends PreKeyStore {
  records = new Map();

  async savePreKey(id, record) {
    this.records.set(id, record);
  }

  async getPreKey(id) {
    return this.records.get(id) ?? missing('pre-key', id);
  }

  async removePreKey(id) {
    this.records.delete(id);
  }
}

/** Signed pre-keys. */
export class SignedPreKeys extends SignedPreKeyStore {
  records = new Map();

  async saveSignedPreKey(id, record) {
    this.records.set(id, record);
  }

  async getSignedPreKey(id) {
    return this.records.get(id) ?? missing('signed pre-key', id);
  }
}

/** Kyber pre-keys: a one-time key goes when it is used; a last-resort key stays and remembers its uses. */
export class KyberPreKeys extends KyberPreKeyStore {
  records = new Map();
  lastResort = new Set();
  uses = new Map();

  async saveKyberPreKey(id, record) {
    this.records.set(id, record);
  }

  async getKyberPreKey(id) {
    return this.records.get(id) ?? missing('kyber pre-key', id);
  }

  async markKyberPreKeyUsed(kyberId, signedId, baseKey) {
    if (!this.lastResort.has(kyberId)) {
      this.records.delete(kyberId);
      return;
    }
    const bytes = baseKey.serialize();
    const use = `${kyberId} ${signedId} ${Buffer.from(bytes).toString('hex')}`;
    if (this.uses.has(use)) throw new Error('reused base key');
    this.uses.set(use, { kyberId, signedId, baseKey: bytes });
  }
}

/** Sender keys of groups. */
export class SenderKeys extends SenderKeyStore {
  records = new Map();

  async saveSenderKey(sender, distributionId, record) {
    this.records.set(`${distributionId} ${keyOf(sender)}`, record);
  }

  async getSenderKey(sender, distributionId) {
    return this.records.get(`${distributionId} ${keyOf(sender)}`) ?? null;
  }

  async removeSenderKey(sender, distributionId) {
    this.records.delete(`${distributionId} ${keyOf(sender)}`);
  }
}

function missing(kind, id) {
  throw new Error(`no ${kind} with id ${id}`);
}
