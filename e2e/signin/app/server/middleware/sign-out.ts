import { getUserSession } from 'nuxt-oidc-auth/runtime/server/utils/session.js'

// Sign-out revokes the refresh token, which would outlive Authentik's session.
// It comes after the refresh, by the names of the files, and before the module.
export default defineEventHandler(async (event) => {
  if (getRequestURL(event).pathname !== '/auth/oidc/logout') {
    return
  }
  // The tests' control.
  if (process.env.WITHOUT_SIGN_OUT) {
    return
  }
  const { clientId, clientSecret, logoutUrl } = useRuntimeConfig(event).oidc.providers.oidc!
  try {
    await getUserSession(event)
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 401) {
      throw error
    }
    // The app's session has ended already. The module would go to the start
    // page, and Authentik sign in again.
    return sendRedirect(event, logoutUrl!)
  }
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
