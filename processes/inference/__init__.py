"""ActorService: trigger -> tick -> observation -> policy -> action -> intent."""
