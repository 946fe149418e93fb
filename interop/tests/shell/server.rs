//! Bundles as Signal's servers hand them out.

use serde_json::{Value, json};
use sprag_interop::{Bundle, PublicPreKey, SignedPublicPreKey};

/// The bundles of devices of one account, in JSON. The servers write base64 without padding.
pub(crate) fn write(devices: &[Bundle]) -> Vec<u8> {
    let signed = |key: &SignedPublicPreKey| json!({ "keyId": key.id, "publicKey": key.public_key, "signature": key.signature });
    let device = |bundle: &Bundle| {
        let mut device = json!({
            "deviceId": bundle.device,
            "registrationId": bundle.registration_id,
            "signedPreKey": signed(&bundle.signed_pre_key),
            "pqPreKey": signed(&bundle.kyber_pre_key),
        });
        if let Some(PublicPreKey { id, public_key }) = &bundle.pre_key {
            device["preKey"] = json!({ "keyId": id, "publicKey": public_key });
        }
        device
    };
    let devices_json: Vec<Value> = devices.iter().map(device).collect();
    let written = json!({ "identityKey": devices[0].identity_key, "devices": devices_json });
    written.to_string().replace('=', "").into_bytes()
}

/// The only device's bundle.
pub(crate) fn read(json: &[u8]) -> Bundle {
    let handed_out: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(handed_out["devices"].as_array().unwrap().len(), 1);
    let device = &handed_out["devices"][0];
    let signed = |key: &Value| json!({ "id": key["keyId"], "publicKey": key["publicKey"], "signature": key["signature"] });
    let pre_key = device.get("preKey");
    let bundle = json!({
        "registrationId": device["registrationId"],
        "device": device["deviceId"],
        "identityKey": handed_out["identityKey"],
        "preKey": pre_key.map(|key| json!({ "id": key["keyId"], "publicKey": key["publicKey"] })),
        "signedPreKey": signed(&device["signedPreKey"]),
        "kyberPreKey": signed(&device["pqPreKey"]),
    });
    serde_json::from_value(bundle).unwrap()
}
