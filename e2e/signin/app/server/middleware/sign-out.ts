// Sign-out revokes the refresh token, which would outlive Authentik's session.
// It comes after the refresh, by the names of the files, and before the module.
export default defineEventHandler(async (event) => {
  if (getRequestURL(event).pathname !== '/auth/oidc/logout' || !getCookie(event, 'nuxt-oidc-auth')) {
    return
  }
  const { clientId, clientSecret } = useRuntimeConfig(event).oidc.providers.oidc!
  try {
    await $fetch(process.env.OIDC_REVOCATION_URL!, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${clientId}:${clientSecret}`)}` },
      body: new URLSearchParams({ token: await storedToken(event, 'refreshToken'), token_type_hint: 'refresh_token' }),
      timeout: 5_000,
    })
  } catch (error) {
    console.error('sign-out: the refresh token is not revoked:', error)
  }
})
