// Walks the MFA part of the vendor's SDK against the emulator, whose address
// and app id are the arguments. Prints the enrolled types after each step.
import { createHmac } from "node:crypto";
import sdk from "authing-node-sdk";

const [appHost, appId] = process.argv.slice(2);
const client = new sdk.AuthenticationClient({
  appHost, appId, appSecret: "", redirectUri: "http://localhost/", tokenEndPointAuthMethod: "none",
});

// RFC 6238, SHA-1, 30 seconds, 6 digits.
function totp(secret) {
  const bits = [...secret].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
  const mac = createHmac("sha1", key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
}

async function enrolled() {
  const answer = await client.listEnrolledFactors();
  console.log(answer.statusCode, JSON.stringify(answer.data.map((f) => f.factorType)));
  return answer.data;
}

const signedIn = await client.signInByAccountPassword({ account: "alice", password: "alice-password" });
client.setAccessToken(signedIn.data.access_token);
await enrolled();
const begun = await client.sendEnrollFactorRequest({ factorType: "OTP", profile: {} });
const secret = new URL(begun.data.otpData.qrCodeUri).searchParams.get("secret");
const done = await client.enrollFactor({
  factorType: "OTP", enrollmentToken: begun.data.enrollmentToken, enrollmentData: { passCode: totp(secret) },
});
console.log(done.statusCode);
const [factor] = await enrolled();
console.log((await client.resetFactor({ factorId: factor.factorId })).statusCode);
await enrolled();
