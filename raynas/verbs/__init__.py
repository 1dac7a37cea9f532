"""What each verb of the command line does. torch and Ray are imported when a verb needs them, not before."""
