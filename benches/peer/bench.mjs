// The pieces of work of the benchmarks, done by the official libsignal client. Requests arrive on stdin, one JSON object
// a line, {"work": "encrypt", "times": 100}, and each is answered by {"nanoseconds": 1234567}: how long it took, without
// what had to be made ready for it. The process ends with its stdin.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import {
  Identities,
  KyberPreKeys,
  PreKeys,
  SenderKeys,
  Sessions,
  SignedPreKeys,
  keyOf,
} from '../../interop/peer/stores.mjs';

const { resolve } = createRequire(new URL('../../interop/peer/package.json', import.meta.url));
const {
  CiphertextMessageType,
  ContentHint,
  IdentityKeyPair,
  KEMKeyPair,
  KyberPreKeyRecord,
  PreKeyBundle,
  PreKeyRecord,
  PreKeySignalMessage,
  PrivateKey,
  ProtocolAddress,
  SenderCertificate,
  SenderKeyDistributionMessage,
  ServerCertificate,
  SignalMessage,
  SignedPreKeyRecord,
  UnidentifiedSenderMessageContent,
  groupDecrypt,
  groupEncrypt,
  processPreKeyBundle,
  processSenderKeyDistributionMessage,
  sealedSenderDecryptToUsmc,
  sealedSenderEncrypt,
  sealedSenderMultiRecipientEncrypt,
  signalDecrypt,
  signalDecryptPreKey,
  signalEncrypt,
} = await import(pathToFileURL(resolve('@signalapp/libsignal-client')));

const now = new Date(1768478400000);
const plaintext = new Uint8Array(100).fill(0x78);
const rounds = 200;
const snapshotCount = 16;
const streamLength = 100;
const skipped = 2000;
// From one late message to the next, so that they come from everywhere.
const stride = 97;

class Party {
  sessions = new Sessions();
  preKeys = new PreKeys();
  signedPreKeys = new SignedPreKeys();
  kyberPreKeys = new KyberPreKeys();

  constructor(name) {
    this.address = ProtocolAddress.new(name, 1);
    this.identities = new Identities(IdentityKeyPair.generate(), 1);
  }

  get identity() {
    return this.identities.pair;
  }

  newPreKey(id) {
    const secret = PrivateKey.generate();
    return PreKeyRecord.new(id, secret.getPublicKey(), secret);
  }

  newKyberPreKey(id) {
    const pair = KEMKeyPair.generate();
    const signature = this.identity.privateKey.sign(pair.getPublicKey().serialize());
    return KyberPreKeyRecord.new(id, now.getTime(), pair, signature);
  }

  newKeys() {
    const secret = PrivateKey.generate();
    const point = secret.getPublicKey();
    const signature = this.identity.privateKey.sign(point.serialize());
    return {
      preKey: this.newPreKey(1),
      signed: SignedPreKeyRecord.new(1, now.getTime(), point, secret, signature),
      kyber: this.newKyberPreKey(1),
    };
  }

  async keepKeys({ preKey, signed, kyber }) {
    await this.preKeys.savePreKey(1, preKey);
    await this.signedPreKeys.saveSignedPreKey(1, signed);
    await this.kyberPreKeys.saveKyberPreKey(1, kyber);
  }

  async makePreKeys(count) {
    for (let id = 0; id < count; id += 1) {
      await this.preKeys.savePreKey(id, this.newPreKey(id));
      await this.kyberPreKeys.saveKyberPreKey(id, this.newKyberPreKey(id));
    }
  }

  bundle({ preKey, signed, kyber }) {
    return PreKeyBundle.new(
      1,
      this.address.deviceId(),
      preKey.id(),
      preKey.publicKey(),
      signed.id(),
      signed.publicKey(),
      signed.signature(),
      this.identity.publicKey,
      kyber.id(),
      kyber.publicKey(),
      kyber.signature(),
    );
  }

  async start(peer, bundle) {
    await processPreKeyBundle(bundle, peer, this.address, this.sessions, this.identities, now);
  }

  async send(peer) {
    const message = await signalEncrypt(
      plaintext,
      peer,
      this.address,
      this.sessions,
      this.identities,
      now,
    );
    return { type: message.type(), bytes: message.serialize() };
  }

  async receive(peer, { type, bytes }) {
    if (type === CiphertextMessageType.Whisper) {
      const message = SignalMessage.deserialize(bytes);
      return signalDecrypt(message, peer, this.address, this.sessions, this.identities);
    }
    const message = PreKeySignalMessage.deserialize(bytes);
    return signalDecryptPreKey(
      message,
      peer,
      this.address,
      this.sessions,
      this.identities,
      this.preKeys,
      this.signedPreKeys,
      this.kyberPreKeys,
    );
  }

  session(peer) {
    return this.sessions.records.get(keyOf(peer));
  }

  setSession(peer, record) {
    this.sessions.records.set(keyOf(peer), record);
  }

  forgetSession(peer) {
    this.sessions.records.delete(keyOf(peer));
  }
}

class Conversation {
  alice = new Party('alice');
  bob = new Party('bob');

  static async settled() {
    const conversation = new Conversation();
    const { alice, bob } = conversation;
    const keys = bob.newKeys();
    await bob.keepKeys(keys);
    await alice.start(bob.address, bob.bundle(keys));
    await conversation.rounds(rounds);
    return conversation;
  }

  async oneWay() {
    await this.bob.receive(this.alice.address, await this.alice.send(this.bob.address));
  }

  async answer() {
    await this.alice.receive(this.bob.address, await this.bob.send(this.alice.address));
  }

  async rounds(count) {
    for (let round = 0; round < count; round += 1) {
      await this.oneWay();
      await this.answer();
    }
  }

  async lose(count) {
    for (let lost = 0; lost < count; lost += 1) await this.alice.send(this.bob.address);
  }

  snapshot() {
    return { alice: this.alice.session(this.bob.address), bob: this.bob.session(this.alice.address) };
  }

  async snapshots() {
    const taken = [];
    for (let count = 0; count < snapshotCount; count += 1) {
      await this.rounds(7);
      await this.oneWay();
      taken.push(this.snapshot());
      await this.answer();
    }
    return taken;
  }

  goTo({ alice, bob }) {
    this.alice.setSession(this.bob.address, alice);
    this.bob.setSession(this.alice.address, bob);
  }
}

/** Alice, whose sender key Bob has. */
class Group {
  id = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';
  alice = ProtocolAddress.new('alice', 1);
  aliceKeys = new SenderKeys();
  bobKeys = new SenderKeys();

  static async joined() {
    const group = new Group();
    const { id, alice, aliceKeys, bobKeys } = group;
    const key = await SenderKeyDistributionMessage.create(alice, id, aliceKeys);
    await processSenderKeyDistributionMessage(alice, key, bobKeys);
    return group;
  }

  async send() {
    return (await groupEncrypt(this.alice, this.id, this.aliceKeys, plaintext)).serialize();
  }

  receive(message) {
    return groupDecrypt(this.alice, this.bobKeys, message);
  }
}

async function timed(work) {
  const start = process.hrtime.bigint();
  await work();
  return process.hrtime.bigint() - start;
}

async function inBatches(times, most, batch) {
  let total = 0n;
  for (let left = times; left > 0; left -= most) total += await batch(Math.min(left, most));
  return total;
}

/** Does `work`, starting at each of the snapshots in turn. */
function stream(conversation, snapshots, work) {
  let turn = 0;
  return (times) =>
    inBatches(times, streamLength, async (count) => {
      turn = (turn + 1) % snapshots.length;
      conversation.goTo(snapshots[turn]);
      return work(conversation, count);
    });
}

async function oneWay(work) {
  const conversation = await Conversation.settled();
  return stream(conversation, await conversation.snapshots(), work);
}

function encryptStream({ alice, bob }, count) {
  return timed(async () => {
    for (let sent = 0; sent < count; sent += 1) await alice.send(bob.address);
  });
}

async function decryptStream({ alice, bob }, count) {
  const messages = [];
  while (messages.length < count) messages.push(await alice.send(bob.address));
  return timed(async () => {
    for (const message of messages) await bob.receive(alice.address, message);
  });
}

/** One who seals for others with whom there are sessions. */
class Sealer {
  alice = new Party(randomUUID());
  others = [];

  static async with(count) {
    const sealer = new Sealer();
    const { alice, others } = sealer;
    while (others.length < count) {
      const bob = new Party(randomUUID());
      await alice.start(bob.address, bob.bundle(bob.newKeys()));
      others.push(bob);
    }
    await sealer.makeContent();
    return sealer;
  }

  async makeContent() {
    const { alice } = this;
    const [root, serverKey] = [PrivateKey.generate(), PrivateKey.generate()];
    const server = ServerCertificate.new(1, serverKey.getPublicKey(), root);
    const { publicKey } = alice.identity;
    const expiration = 2 ** 52;
    const certificate = SenderCertificate.new(
      alice.address.name(),
      null,
      1,
      publicKey,
      expiration,
      server,
      serverKey,
    );
    const senderKeys = new SenderKeys();
    const group = randomUUID();
    await SenderKeyDistributionMessage.create(alice.address, group, senderKeys);
    const message = await groupEncrypt(alice.address, group, senderKeys, plaintext);
    this.content = UnidentifiedSenderMessageContent.new(message, certificate, ContentHint.Resendable, null);
  }

  seal() {
    return sealedSenderEncrypt(this.content, this.others[0].address, this.alice.identities);
  }
}

async function sealForMany(count) {
  const { alice, others, content } = await Sealer.with(count);
  const recipients = others.map(({ address }) => address);
  return (times) =>
    timed(async () => {
      for (let turn = 0; turn < times; turn += 1) {
        await sealedSenderMultiRecipientEncrypt({
          content,
          recipients,
          identityStore: alice.identities,
          sessionStore: alice.sessions,
        });
      }
    });
}

/** Each makes ready and gives back what does the work so many times. */
const works = {
  initiate() {
    const { alice, bob } = new Conversation();
    const bundle = bob.bundle(bob.newKeys());
    return (times) =>
      inBatches(times, 1, () => {
        alice.forgetSession(bob.address);
        return timed(async () => {
          await alice.start(bob.address, bundle);
          await alice.send(bob.address);
        });
      });
  },

  accept() {
    const { alice, bob } = new Conversation();
    const keys = bob.newKeys();
    const bundle = bob.bundle(keys);
    return (times) =>
      inBatches(times, 1, async () => {
        alice.forgetSession(bob.address);
        await alice.start(bob.address, bundle);
        const message = await alice.send(bob.address);
        bob.forgetSession(alice.address);
        await bob.keepKeys(keys);
        return timed(() => bob.receive(alice.address, message));
      });
  },

  encrypt: () => oneWay(encryptStream),

  decrypt: () => oneWay(decryptStream),

  async 'ping-pong message'() {
    const conversation = await Conversation.settled();
    let turn = 0;
    return (times) =>
      timed(async () => {
        for (let sent = 0; sent < times; sent += 1) {
          await (turn === 0 ? conversation.oneWay() : conversation.answer());
          turn = 1 - turn;
        }
      });
  },

  async 'skip 2000'() {
    const conversation = await Conversation.settled();
    const { alice, bob } = conversation;
    const snapshots = await conversation.snapshots();
    const ahead = [];
    for (const snapshot of snapshots) {
      conversation.goTo(snapshot);
      await conversation.lose(skipped);
      ahead.push(await alice.send(bob.address));
    }
    let turn = 0;
    return (times) =>
      inBatches(times, 1, () => {
        turn = (turn + 1) % snapshots.length;
        conversation.goTo(snapshots[turn]);
        return timed(() => bob.receive(alice.address, ahead[turn]));
      });
  },

  async 'decrypt, 2000 skipped'() {
    const conversation = await Conversation.settled();
    const snapshots = [];
    for (const snapshot of await conversation.snapshots()) {
      conversation.goTo(snapshot);
      await conversation.lose(skipped);
      await conversation.oneWay();
      snapshots.push(conversation.snapshot());
    }
    return stream(conversation, snapshots, decryptStream);
  },

  async 'decrypt late, 2000 skipped'() {
    const conversation = await Conversation.settled();
    const { alice, bob } = conversation;
    const late = [];
    while (late.length < skipped) late.push(await alice.send(bob.address));
    await conversation.oneWay();
    const snapshot = conversation.snapshot();
    return (times) =>
      inBatches(times, streamLength, (count) => {
        conversation.goTo(snapshot);
        return timed(async () => {
          for (let turn = 0; turn < count; turn += 1) {
            await bob.receive(alice.address, late[(turn * stride) % skipped]);
          }
        });
      });
  },

  '100 + 100 pre-keys'() {
    const { bob } = new Conversation();
    return (times) =>
      timed(async () => {
        for (let batch = 0; batch < times; batch += 1) await bob.makePreKeys(100);
      });
  },

  async 'group encrypt'() {
    const group = await Group.joined();
    return (times) =>
      timed(async () => {
        for (let sent = 0; sent < times; sent += 1) await group.send();
      });
  },

  async 'group decrypt'() {
    const group = await Group.joined();
    return (times) =>
      inBatches(times, streamLength, async (count) => {
        const messages = [];
        while (messages.length < count) messages.push(await group.send());
        return timed(async () => {
          for (const message of messages) await group.receive(message);
        });
      });
  },

  async 'sealed v1 seal'() {
    const sealer = await Sealer.with(1);
    return (times) =>
      timed(async () => {
        for (let turn = 0; turn < times; turn += 1) await sealer.seal();
      });
  },

  async 'sealed v1 open'() {
    const sealer = await Sealer.with(1);
    const sealed = await sealer.seal();
    return (times) =>
      timed(async () => {
        for (let turn = 0; turn < times; turn += 1) {
          await sealedSenderDecryptToUsmc(sealed, sealer.others[0].identities);
        }
      });
  },

  'sealed sender v2 to 100': () => sealForMany(100),

  'sealed sender v2 to 1000': () => sealForMany(1000),
};

const prepared = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { work, times } = JSON.parse(line);
  if (!prepared.has(work)) prepared.set(work, await works[work]());
  const nanoseconds = await prepared.get(work)(times);
  process.stdout.write(`${JSON.stringify({ nanoseconds: Number(nanoseconds) })}\n`);
}
