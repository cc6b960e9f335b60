// SPDX-License-Identifier: Apache-2.0
// Gets a token with npm oauth4webapi as published and uses it; the only glue is fetch over mutual TLS, which node's
// own fetch cannot do. Words come in the environment as JSON, the findings go out as JSON.
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { createPrivateKey } from 'node:crypto'
import * as oauth from 'oauth4webapi'

const words = JSON.parse(process.env.WORDS)
const tls = { cert: readFileSync(words.cert), key: readFileSync(words.key), ca: readFileSync(words.ca) }

function overMutualTls(url, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const fields = Object.fromEntries(new Headers(headers))
    const content = body === undefined || body === null ? undefined : String(body)
    if (content !== undefined) fields['content-length'] = String(Buffer.byteLength(content))
    const sent = request(url, { ...tls, method, headers: fields }, (answer) => {
      const pieces = []
      answer.on('data', (piece) => pieces.push(piece))
      answer.on('end', () => {
        const status = answer.statusCode
        resolve(new Response(Buffer.concat(pieces), { status, headers: answer.headers }))
      })
    })
    sent.on('error', reject)
    sent.end(content)
  })
}

const fetching = { [oauth.customFetch]: overMutualTls }
const issuer = new URL(words.issuer)
const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...fetching })
const server = await oauth.processDiscoveryResponse(issuer, found)
const client = { client_id: words.client, use_mtls_endpoint_aliases: true }

async function authentication(method) {
  if (method === 'tls_client_auth') return oauth.TlsClientAuth()
  const pem = createPrivateKey(readFileSync(words.signing_key))
  const kind = pem.asymmetricKeyType === 'ec' ? { name: 'ECDSA', namedCurve: 'P-256' } : { name: 'Ed25519' }
  const exported = pem.export({ format: 'der', type: 'pkcs8' })
  const key = await crypto.subtle.importKey('pkcs8', exported, kind, false, ['sign'])
  return oauth.PrivateKeyJwt({ key, kid: words.keyid })
}

async function tokenBy(method, scope) {
  const asked = new URLSearchParams(scope ? { scope } : {})
  const way = await authentication(method)
  const answer = await oauth.clientCredentialsGrantRequest(server, client, way, asked, fetching)
  return oauth.processClientCredentialsResponse(server, client, answer)
}

async function failure(work) {
  try {
    await work()
  } catch (error) {
    return { name: error.constructor.name, error: error.error, challenges: error.cause?.[0]?.parameters }
  }
  return null
}

// The library reads certificate-bound tokens as opaque ones, so the signature is WebCrypto's to judge.
async function verified(token) {
  const [head, claims, signature] = token.split('.')
  const read = (part) => JSON.parse(Buffer.from(part, 'base64url'))
  const { keys } = await (await overMutualTls(server.jwks_uri)).json()
  const jwk = keys.find((key) => key.kid === read(head).kid)
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify'])
  const sealed = Buffer.from(signature, 'base64url')
  const signed = Buffer.from(`${head}.${claims}`)
  return (await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, sealed, signed)) ? read(claims) : {}
}

const api = new URL('/v1/own/border-event', issuer)
const told = {}
for (const method of ['tls_client_auth', 'private_key_jwt']) {
  const token = await tokenBy(method, 'read-own')
  const answer = await oauth.protectedResourceRequest(token.access_token, 'GET', api, new Headers(), null, fetching)
  told[method] = { type: token.token_type, scope: token.scope, expires_in: token.expires_in, status: answer.status }
  told[method].claims = await verified(token.access_token)
}
const narrow = await tokenBy('tls_client_auth', 'read-flow')
told.insufficient = await failure(() =>
  oauth.protectedResourceRequest(narrow.access_token, 'GET', api, new Headers(), null, fetching),
)
told.invalid = await failure(() =>
  oauth.protectedResourceRequest('not.a.token', 'GET', api, new Headers(), null, fetching),
)
told.scope = await failure(() => tokenBy('tls_client_auth', 'admin'))
process.stdout.write(JSON.stringify(told))
