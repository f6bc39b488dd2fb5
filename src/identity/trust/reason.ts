// Why a token was not exchanged: for the audit events and the tester. Whoever presents it is told none of them.

export const reasons = {
  malformed: 'It is no signed JSON Web Token.',
  algorithm: 'It is not signed with RS256, PS256, ES256 or EdDSA.',
  header: 'Its header lacks kid, or has what is not taken here (another typ, crit, jku, x5u, x5c, jwk).',
  claims_malformed: 'One of iss, sub, aud, exp, iat, nbf is missing or of a wrong type.',
  no_jti: 'It has no jti, so it cannot be told from a copy of itself.',
  unknown_issuer: 'No trust policy is for its issuer.',
  wrong_audience: 'Its aud is not that of a trust policy for its issuer.',
  expired: 'It has expired.',
  not_yet: 'It is not valid yet, or from the future.',
  too_old: 'It was made too long ago, or is good for too long.',
  unknown_key: 'Its issuer publishes no such key.',
  bad_signature: 'Its signature is wrong.',
  no_match: 'Its claims meet the conditions of no trust policy.',
  replayed: 'It was exchanged before.',
  policy_changed: 'The trust policy has been changed or removed meanwhile.',
  policy_ended: 'The trust policy has ended.',
  maker_disabled: 'The subject that answers for the trust policy is disabled.',
  subject_disabled: 'The subject of the trust policy is disabled.',
} as const satisfies Record<string, string>

export type Reason = keyof typeof reasons
